"""Functions have exactly the rights of the operations that they call. Each unused right has a reason."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from infra_cdk.endpoints import INTERFACES
from infra_cdk.entries import ENTRIES, WORKER, Entry
from infra_cdk.function import INTERFACE_ACTIONS
from infra_cdk.stages import Stage
from tests.support.templates.asked import endpoint_policy, requests, role_policy
from tests.support.templates.policy import allowed
from tests.support.templates.template import Template, text

ROOT = Path(__file__).parents[2]
Operation = tuple[str, str]
# The resource of an operation, from its parameters.
Called = Mapping[str, set[tuple[str, str, str]]]
# Operations whose right has another name in AWS's service authorization reference.
RIGHTS: Mapping[Operation, str] = MappingProxyType(
    {
        ("bedrock-runtime", "Converse"): "bedrock:InvokeModel",
        ("bedrock-runtime", "ConverseStream"): "bedrock:InvokeModelWithResponseStream",
        ("s3", "GetObject"): "s3:GetObject",
        ("s3", "PutObject"): "s3:PutObject",
        ("s3", "ListObjectsV2"): "s3:ListBucket",
        ("secretsmanager", "GetSecretValue"): "secretsmanager:GetSecretValue",
        ("sqs", "SendMessageBatch"): "sqs:SendMessage",
    }
)
LAMBDAS = "Lambda itself uses it, with the function's role"
NEVER_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(INTERFACE_ACTIONS, f"{LAMBDAS}, to give it a network interface; its code is denied it."),
        **dict.fromkeys(("logs:CreateLogStream", "logs:PutLogEvents"), f"{LAMBDAS}, to write what it prints."),
        "rds-db:connect": "Asked of no API: shared/aws/database_token.py signs a token, which RDS holds against it.",
    }
)
POLLERS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        (
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
        ),
        f"{LAMBDAS}, to poll the queue that feeds it.",
    )
)


@pytest.fixture(scope="session")
def called() -> Called:
    """Return the operations that each function called, on all its paths to AWS."""
    command = [sys.executable, "-m", "tests.support.templates.called"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return {
        name: {(service, name_, about) for service, name_, about in asked}
        for name, asked in json.loads(ran.stdout).items()
    }


def rights(called: Called, entry: Entry) -> set[str]:
    return {RIGHTS[service, operation] for service, operation, _ in called[entry.name]}


def granted(template: Template, entry: Entry) -> set[str]:
    own = [one for one in template.statements() if one.owner == f"{entry.title}Role" and one.effect == "Allow"]
    return {action for one in own for action in one.actions}


def endpoints(template: Template) -> set[str]:
    """Return the services with a private endpoint."""
    made = template.resources("AWS::EC2::VPCEndpoint").values()
    return {text(endpoint["ServiceName"]).rpartition(".")[2] for endpoint in made}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
class TestRights:
    def test_function_has_the_right_for_each_of_its_calls(
        self, template: Template, called: Called, entry: Entry
    ) -> None:
        assert rights(called, entry) <= granted(template, entry)

    def test_call_is_allowed_on_its_resource_by_the_role_and_the_endpoint(
        self, template: Template, stage: Stage, called: Called, entry: Entry
    ) -> None:
        for service, operation, about in called[entry.name]:
            for asked in requests(template, stage, RIGHTS[service, operation], about):
                assert allowed(role_policy(template, entry), asked), asked
                if entry.in_network and service in endpoints(template):
                    assert allowed(endpoint_policy(template, service), asked), asked

    def test_right_has_a_reason_when_no_call_uses_it(self, template: Template, called: Called, entry: Entry) -> None:
        reasons = {**NEVER_CALLED, **(POLLERS if entry is WORKER else {})}
        idle = granted(template, entry) - rights(called, entry)
        expected = set(reasons) - (set() if entry.role else {"rds-db:connect"})
        assert idle == expected - (set() if entry.in_network else set(INTERFACE_ACTIONS))


def test_every_service_with_a_client_is_called(called: Called) -> None:
    """Otherwise a service could have rights and an endpoint that no test checks."""
    sources = [path.read_text() for folder in ("functions", "shared", "migrations") for path in _sources(folder)]
    written = {service for source in sources for service in re.findall(r"""\.client\(\s*["']([\w-]+)["']""", source)}
    assert written == {service for asked in called.values() for service, *_ in asked}


def test_endpoints_are_those_of_the_called_services(template: Template, called: Called) -> None:
    told = {name for function in template.functions().values() for name in function["Environment"]["Variables"]}
    reachable = endpoints(template) | {service.aws_name for service in INTERFACES if service.variable in told}
    assert reachable == {service for asked in called.values() for service, *_ in asked}


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))
