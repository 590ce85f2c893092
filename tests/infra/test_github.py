"""A role of GitHub deploys one stage from one environment, only by the CDK's own roles."""

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from aws_cdk import App

from infra_cdk import nag
from infra_cdk.github import GitHubStack
from infra_cdk.stages import DEV, STAGES, STAGING, Stage
from shared.errors import ConfigurationError
from tests.support.templates.template import Template, text

HOST = "token.actions.githubusercontent.com"


def synthesised(
    folder: Path,
    *,
    existing: bool = False,
    repository: str = "owner/name",
    stages: Collection[Stage] = tuple(STAGES.values()),
) -> Template:
    app = App(outdir=str(folder / "out"), analytics_reporting=False)
    GitHubStack(app, stages, repository, existing=existing)
    nag.check(app)
    app.synth()
    return Template(json.loads((folder / "out" / "pantheon-github.template.json").read_text()))


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesised(tmp_path_factory.mktemp("github"))


def test_role_trusts_only_its_environment_of_the_repository(github: Template) -> None:
    found = {}
    for role in github.resources("AWS::IAM::Role").values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert set(statement["Condition"]) == {"StringEquals"}
        assert statement["Condition"]["StringEquals"][f"{HOST}:aud"] == "sts.amazonaws.com"
        found[role["RoleName"]] = statement["Condition"]["StringEquals"][f"{HOST}:sub"]
    assert found == {f"pantheon-deploy-{name}": f"repo:owner/name:environment:{name}" for name in STAGES}


def test_role_has_the_roles_of_the_cdk_and_one_secret_and_nothing_else(github: Template) -> None:
    roles = {
        f"arn:<AWS::Partition>:iam::<AWS::AccountId>:role/cdk-hnb659fds-{kind}-role-<AWS::AccountId>-{DEV.region}"
        for kind in ("deploy", "file-publishing", "lookup")
    }
    for name in STAGES:
        own = [one for one in github.statements() if one.owner == name.title()]
        secret = (
            f"arn:<AWS::Partition>:secretsmanager:{DEV.region}:<AWS::AccountId>:secret:pantheon/{name}/smoke-??????"
        )
        granted = {(action, resource) for one in own for action in one.actions for resource in one.resources}
        assert granted == {("secretsmanager:GetSecretValue", secret)} | {("sts:AssumeRole", role) for role in roles}
        assert {one.effect for one in own} == {"Allow"}
    assert not [role for role in github.resources("AWS::IAM::Role").values() if "ManagedPolicyArns" in role]


def test_session_lasts_as_long_as_the_workflow_asks(github: Template) -> None:
    workflow = (Path(__file__).parents[2] / ".github/workflows/deploy-stage.yml").read_text()
    (seconds,) = {role["MaxSessionDuration"] for role in github.resources("AWS::IAM::Role").values()}
    assert f"role-duration-seconds: {seconds}\n" in workflow


def test_provider_is_made_or_the_accounts_own_is_used(github: Template, tmp_path: Path) -> None:
    assert github.one("AWS::IAM::OIDCProvider")["Url"] == f"https://{HOST}"
    template = synthesised(tmp_path, existing=True)
    assert template.resources("AWS::IAM::OIDCProvider") == {}
    for role in template.resources("AWS::IAM::Role").values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        provider = f"arn:<AWS::Partition>:iam::<AWS::AccountId>:oidc-provider/{HOST}"
        assert text(statement["Principal"]["Federated"]) == provider


def test_copy_of_a_stage_has_a_role_a_secret_and_a_stack_of_its_own(tmp_path: Path) -> None:
    """The environment has the stage's name, because a copy is deployed from another repository."""
    stages = [replace(stage, copy_name="second", account="123456789012") for stage in (DEV, STAGING)]
    template = synthesised(tmp_path, stages=stages)
    roles = template.resources("AWS::IAM::Role").values()
    assert {role["RoleName"] for role in roles} == {"pantheon-deploy-second-dev", "pantheon-deploy-second-staging"}
    assert "secret:pantheon/second-dev/smoke-??????" in str(template.resources("AWS::IAM::Policy"))
    assert ":environment:dev'" in str(list(roles))
    artifacts = json.loads((tmp_path / "out" / "manifest.json").read_text())["artifacts"]
    assert artifacts["pantheon-github"]["properties"]["stackName"] == "pantheon-second-github"
    assert artifacts["pantheon-github"]["environment"] == f"aws://123456789012/{DEV.region}"


@pytest.mark.parametrize(
    "other", [replace(STAGING, account="123456789012"), replace(STAGING, copy_name="second")], ids=["account", "copy"]
)
def test_stages_of_two_accounts_or_copies_are_refused(other: Stage, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="more than one"):
        synthesised(tmp_path, stages=[DEV, other])


@pytest.mark.parametrize("repository", ["", "owner", "owner/name:*", "*/*", "owner/name/more"])
def test_name_that_could_match_other_repositories_is_refused(repository: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a repository"):
        synthesised(tmp_path, repository=repository)
