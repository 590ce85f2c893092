"""Two copies of two stages in one account and Region have no name in common."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk import app
from infra_cdk.assets import Assets
from infra_cdk.stages import PROD, STAGING, Stage
from shared.names import Env
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, text

# Names that the template sets. They must be unique in an account and Region by type.
NAMES = {
    "AWS::ApiGateway::RestApi": "Name",
    "AWS::Budgets::Budget": "Budget.BudgetName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Cognito::UserPoolDomain": "Domain",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBProxy": "DBProxyName",
}
# Names inside a named resource, and of the bucket that all stages read.
INSIDE = {
    *("AWS::ApiGateway::Authorizer", "AWS::ApiGateway::Stage", "AWS::Lambda::Alias", "AWS::Cognito::UserPoolGroup"),
    "AWS::IAM::Policy",
    *(
        "AWS::EC2::VPCEndpoint",
        "AWS::RDS::DBProxyTargetGroup",
        "AWS::WAFv2::WebACL",
        "AWS::CodeDeploy::DeploymentGroup",
    ),
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[Template]:
    stages = [replace(stage, copy_name=copy) for stage in (STAGING, PROD) for copy in (None, "second")]
    return [synthesised(stage, tmp_path_factory.mktemp(stage.deployment)) for stage in stages]


def fixed(template: Template) -> Iterator[tuple[str, str]]:
    """Return every name in the template, with its type."""
    for kind, path in NAMES.items():
        for properties in template.resources(kind).values():
            value: Any = properties
            for part in path.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None and not text(value).startswith("<"):
                yield kind, text(value)


def test_names_of_two_copies_are_different(templates: list[Template]) -> None:
    taken = Counter(name for template in templates for name in fixed(template))
    assert [name for name, times in taken.items() if times > 1] == []
    assert {kind for kind, _ in taken} == set(NAMES)


def test_only_known_kinds_of_resources_have_our_names(templates: list[Template]) -> None:
    named = {
        (body["Type"], key)
        for template in templates
        for body in template.body["Resources"].values()
        for key, value in body.get("Properties", {}).items()
        if isinstance(value, str) and (key == "Name" or key.endswith(("Name", "Identifier", "Domain")))
    }
    assert {kind for kind, _ in named} - set(NAMES) - INSIDE == set(), named


def test_stack_has_no_exports(templates: list[Template]) -> None:
    assert not [one for template in templates for one in template.body["Outputs"].values() if "Export" in one]


def test_copy_emits_metrics_and_marks_calls_by_its_own_name(templates: list[Template]) -> None:
    """The metrics' `service` and the invocation log's `stage` come from this variable."""
    found = [{f["Environment"]["Variables"].get(Env.STAGE) for f in t.functions().values()} - {None} for t in templates]
    assert found == [{"staging"}, {"second-staging"}, {"prod"}, {"second-prod"}]
    read = [set(str(template.resources("AWS::CloudWatch::Alarm")).split("'")) for template in templates]
    for own, (name,) in zip(read, found, strict=True):
        assert {one for one in own if one.startswith("pantheon-") and one in SERVICES} == {f"pantheon-{name}"}


SERVICES = {"pantheon-staging", "pantheon-second-staging", "pantheon-prod", "pantheon-second-prod"}


def test_copy_has_its_own_stack(tmp_path: Path) -> None:
    def stack(stage: Stage) -> str:
        made = app.build(tmp_path / stage.deployment, [stage], Assets.empty(tmp_path / "build"))
        (found,) = [str(one.stack_name) for one in made.synth().stacks if "account" not in one.stack_name]
        return found

    assert {stack(STAGING), stack(replace(STAGING, copy_name="second"))} == {
        "pantheon-staging",
        "pantheon-second-staging",
    }


def test_existing_proxy_keeps_its_name(tmp_path: Path) -> None:
    """Another name would replace the proxy."""
    template = synthesised(replace(STAGING, proxy_name="Proxy"), tmp_path)
    assert template.one("AWS::RDS::DBProxy")["DBProxyName"] == "Proxy"
    assert "/aws/rds/proxy/Proxy" in {
        group.get("LogGroupName") for group in template.resources("AWS::Logs::LogGroup").values()
    }
    assert "/aws/rds/proxy/Proxy*" in str(template.resources("AWS::KMS::Key"))
