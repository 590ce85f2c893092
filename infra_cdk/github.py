"""Make the stack with which GitHub's workflows deploy without a key: an identity provider and a role for each stage.

A role may assume the CDK's roles of the account and Region, and read one secret, the smoke suite's token.
"""

import re
from collections.abc import Iterable
from typing import Final

from aws_cdk import CfnOutput, Duration, Environment, Stack, Tags
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk.stages import Stage
from shared.errors import ConfigurationError
from shared.names import SERVICE

HOST: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
# The CDK's name for the resources of `cdk bootstrap`. The deploy role passes a role to CloudFormation.
QUALIFIER: Final = "hnb659fds"
BOOTSTRAP_ROLES: Final = ("deploy", "file-publishing", "lookup")
# Moving traffic in prod takes ten minutes, and the database takes longer.
HOURS: Final = 2
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")


class GitHubStack(Stack):
    """Roles for the environments of `repository` (owner/name) with the names of the stages.

    An account has one provider for GitHub. With `existing`, the stack uses it and makes none. Raises ConfigurationError
    for stages of two accounts, because a role deploys only to its own."""

    def __init__(self, scope: Construct, stages: Iterable[Stage], repository: str, *, existing: bool) -> None:
        stages = list(stages)
        if not _REPOSITORY.fullmatch(repository):
            raise ConfigurationError(f"{repository!r} is not a repository of GitHub: owner/name.")
        account, copy_name = (_one(stages, name) for name in ("account", "copy_name"))
        super().__init__(
            scope,
            # The name of the template's file is the same for all copies.
            f"{SERVICE}-github",
            stack_name=f"{SERVICE}-{copy_name}-github" if copy_name else f"{SERVICE}-github",
            env=Environment(account=account, region=stages[0].region),
        )
        Tags.of(self).add("project", SERVICE)
        provider = self.format_arn(service="iam", region="", resource="oidc-provider", resource_name=HOST)
        if not existing:
            made = iam.OidcProviderNative(self, "Provider", url=f"https://{HOST}", client_ids=[AUDIENCE])
            provider = made.oidc_provider_arn
        for stage in stages:
            role = self._role(stage, repository, provider)
            CfnOutput(
                self,
                f"{stage.name.title()}Role",
                value=role.role_arn,
                description="The value of AWS_DEPLOY_ROLE in the GitHub environment",
            )

    def _role(self, stage: Stage, repository: str, provider: str) -> iam.Role:
        # Only this environment of this repository. Branches, pull requests and forks have other subjects.
        subject = f"repo:{repository}:environment:{stage.name}"
        conditions = {"StringEquals": {f"{HOST}:aud": AUDIENCE, f"{HOST}:sub": subject}}
        role = iam.Role(
            self,
            stage.name.title(),
            role_name=f"{SERVICE}-deploy-{stage.deployment}",
            description=f"GitHub deploys the stage {stage.deployment} with this role",
            assumed_by=iam.WebIdentityPrincipal(provider, conditions),
            max_session_duration=Duration.hours(HOURS),
        )
        for kind in BOOTSTRAP_ROLES:
            name = f"cdk-{QUALIFIER}-{kind}-role-{self.account}-{stage.region}"
            arn = self.format_arn(service="iam", region="", resource="role", resource_name=name)
            role.add_to_policy(iam.PolicyStatement(actions=["sts:AssumeRole"], resources=[arn]))
        # Secrets Manager adds a dash and six characters to a name.
        secret = f"secret:{SERVICE}/{stage.deployment}/smoke-??????"
        arn = f"arn:{self.partition}:secretsmanager:{stage.region}:{self.account}:{secret}"
        role.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn]))
        return role


def _one(stages: Iterable[Stage], name: str) -> str | None:
    """Return the value of a field that must be the same in all stages."""
    first, *others = {getattr(stage, name) for stage in stages}
    if others:
        raise ConfigurationError(f"The stages have more than one {name}. Run `make github` for each of them.")
    found: str | None = first
    return found
