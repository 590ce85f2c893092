"""Tests that the bundled functions, unpacked as on Lambda and run by its runtime client, answer their events.

No function imports from this checkout: each has its own folder and the two layers.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from infra_cdk.assets import Assets
from infra_cdk.entries import ENTRIES, MIGRATE, TURNS
from local import database, postgres
from local.emulator import Emulator, Function, emulate
from local.event_source import build_sqs_event
from shared.db.schema.tables import MIGRATION_HEAD
from shared.domain.message import TurnMessage
from shared.names import API_PREFIX, API_STAGE, Env, Role
from tests.support.issuer import AUDIENCE, ISSUER, Issuer

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "build" / "rie"
TOOLS = ROOT / "build" / "rie-tools"
EVENTS = ROOT / "tests" / "events"
PYTHON = os.environ["PYTHON313"]


def event(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return read


def request(method: str, path: str, body: object = None) -> dict[str, Any]:
    """API Gateway's event for a request of the tenant that the examples are of."""
    made = event("api_get" if body is None else "api_post")
    made |= {"httpMethod": method, "path": f"{API_PREFIX}/{path}", "body": json.dumps(body)}
    made["requestContext"] |= {"httpMethod": method, "path": f"/{API_STAGE}{made['path']}"}
    return made


TENANT = event("api_get")["requestContext"]["authorizer"]["tenant"]


KEYS = Issuer("rie")


class Lambdas:
    """Every function of the bundle, each started when it is first asked for."""

    def __init__(self, resources: ExitStack, folder: Path, owner_url: str) -> None:
        self._resources, self._folder, self._owner_url = resources, folder, owner_url
        (folder / "jwks.json").write_bytes(KEYS.key_set)
        self._running: dict[str, Emulator] = {}

    def __getitem__(self, name: str) -> Emulator:
        if name not in self._running:
            assets = Assets.of(BUNDLE)
            (entry,) = [entry for entry in ENTRIES if entry.name == name]
            function = Function(
                entry.handler,
                [assets.function(name), assets.core / "python", assets.libraries[entry.libraries] / "python"],
                self._environment(name),
                TOOLS,
                PYTHON,
                loop="functions.runtime" if entry == TURNS else "awslambdaric",
            )
            self._running[name] = self._resources.enter_context(emulate(function, self._folder / f"{name}.log"))
        return self._running[name]

    def _environment(self, name: str) -> dict[str, str]:
        if name == MIGRATE.name:
            return {Env.OWNER_DATABASE_URL.value: self._owner_url}
        urls = {role: database.role_url(self._owner_url, role) for role in Role}
        return {
            Env.STAGE.value: "rie",
            Env.APP_DATABASE_URL.value: urls[Role.APP],
            Env.OPS_DATABASE_URL.value: urls[Role.OPS],
            Env.OPERATOR_DATABASE_URL.value: urls[Role.OPERATOR],
            Env.AUTH_DATABASE_URL.value: urls[Role.AUTH],
            Env.JWT_ISSUER.value: ISSUER,
            Env.JWT_AUDIENCE.value: AUDIENCE,
            Env.JWKS_URL.value: (self._folder / "jwks.json").as_uri(),
            Env.LLM_PROVIDER.value: "scripted",
            Env.INVOCATION_LOG.value: "s3://log/AWSLogs/123456789012/BedrockModelInvocationLogs/eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }

    def http(self, name: str, asked: dict[str, Any]) -> tuple[int, Any]:
        answer = self[name].invoke(asked)
        return answer["statusCode"], json.loads(answer["body"] or "null")


@pytest.fixture(scope="module")
def owner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.start(tmp_path_factory.mktemp("postgres"), settings={"fsync": "off"}) as server:
        yield server.url


@pytest.fixture(scope="module")
def lambdas(owner_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambdas]:
    """The functions, on a database that the bundled migration has brought up."""
    with ExitStack() as resources:
        running = Lambdas(resources, tmp_path_factory.mktemp("rie"), owner_url)
        assert running["migrate"].invoke({}) == {"found": None, "left": MIGRATION_HEAD}
        database.admit(owner_url)
        yield running


@pytest.fixture(scope="module")
def session_id(lambdas: Lambdas) -> str:
    agent = {"key": "writer", "name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}
    assert lambdas.http("api", request("POST", "agents", agent))[0] == 201
    status, made = lambdas.http(
        "api", request("POST", "sessions", {"title": "T", "mode": "tag", "agent_keys": ["writer"]})
    )
    assert status == 201
    return str(made["id"])


def posting(session_id: str, key: str, **headers: str) -> dict[str, Any]:
    posted = event("turns_post")
    path = f"{API_PREFIX}/sessions/{session_id}/turns"
    posted |= {"path": path, "pathParameters": {"session_id": session_id}}
    posted["body"] = json.dumps({"message": "@writer hello"})
    for name, value in {"Idempotency-Key": key, **headers}.items():
        posted["headers"][name], posted["multiValueHeaders"][name] = value, [value]
    posted["requestContext"]["path"] = f"/{API_STAGE}{path}"
    return posted


def post_turn(lambdas: Lambdas, session_id: str, key: str, **headers: str) -> tuple[int, Any]:
    return lambdas.http("turns", posting(session_id, key, **headers))


def test_the_api_is_healthy(lambdas: Lambdas) -> None:
    status, health = lambdas.http("api", request("GET", "health"))
    assert (status, health["status"], health["checks"]["migration"]) == (200, "ok", MIGRATION_HEAD)


def test_contract_in_the_bundle_is_served(lambdas: Lambdas) -> None:
    status, document = lambdas.http("api", request("GET", "openapi.json"))
    assert (status, document["openapi"][:3]) == (200, "3.1")


def test_a_turn_is_answered_and_read_again(lambdas: Lambdas, session_id: str) -> None:
    status, turn = post_turn(lambdas, session_id, "first")
    assert (status, turn["status"], len(turn["replies"])) == (201, "completed", 1)
    assert lambdas.http("api", request("GET", f"turns/{turn['id']}")) == (200, turn)


def test_a_turn_is_streamed_with_its_events(lambdas: Lambdas, session_id: str) -> None:
    answer = lambdas["turns"].invoke(posting(session_id, "streamed", Accept="text/event-stream"))
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "text/event-stream")
    blocks = answer["body"].split("\n\n")
    names = [line for block in blocks for line in block.split("\n") if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("event: turn", "event: turn.ended")
    turn = json.loads(blocks[-2].rpartition("data: ")[2])
    assert lambdas.http("api", request("GET", f"turns/{turn['id']}")) == (200, turn)


def test_a_turn_that_was_handed_over_is_run_by_the_worker_from_a_message(lambdas: Lambdas, session_id: str) -> None:
    status, turn = post_turn(lambdas, session_id, "later", prefer="respond-async")
    assert (status, turn["status"]) == (202, "accepted")
    message = TurnMessage(UUID(turn["id"]), TENANT)
    assert lambdas["worker"].invoke(build_sqs_event(message, receive_count=1)) == {"batchItemFailures": []}
    assert lambdas.http("api", request("GET", f"turns/{turn['id']}"))[1]["status"] == "completed"


def authorize(lambdas: Lambdas, credential: str) -> tuple[str, dict[str, str]]:
    """The effect of the authorizer's policy, and its context."""
    asked = event("api_get")
    context = asked["requestContext"]
    arn = f"arn:aws:execute-api:eu-central-1:{context['accountId']}:{context['apiId']}/{API_STAGE}/GET/api/v1/agents"
    asked |= {"type": "REQUEST", "methodArn": arn}
    asked["multiValueHeaders"]["Authorization"] = [f"Bearer {credential}"]
    answer = lambdas["authorizer"].invoke(asked)
    return answer["policyDocument"]["Statement"][0]["Effect"], answer["context"]


def test_authorizer_accepts_the_issuers_tokens_and_the_tenants_keys(lambdas: Lambdas) -> None:
    effect, caller = authorize(lambdas, KEYS.token(tenant_id=TENANT, roles=["admin"]))
    assert (effect, caller["tenant"], caller["roles"]) == ("Allow", TENANT, '["admin"]')
    status, made = lambdas.http("api", request("POST", "api-keys", {"name": "rie"}))
    assert status == 201
    effect, caller = authorize(lambdas, made["key"])
    assert (effect, caller["tenant"], caller["key_id"]) == ("Allow", TENANT, made["id"])
    assert authorize(lambdas, made["key"][:-1])[0] == "Deny"


def test_unreadable_message_is_reported_and_the_others_are_deleted(lambdas: Lambdas) -> None:
    unreadable = build_sqs_event(TurnMessage(uuid4(), TENANT), receive_count=1)
    (record,) = unreadable["Records"]
    record["body"] = "no message"
    assert lambdas["worker"].invoke(unreadable) == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}


def test_schedule_event_starts_the_sweeper(lambdas: Lambdas) -> None:
    answer = lambdas["sweeper"].invoke(event("schedule"))
    assert (answer["dispatched"], answer["broken"], answer["unchecked"]) == (0, [], [])


def test_schedule_event_starts_the_reconciler(lambdas: Lambdas) -> None:
    """No charge is in suspense, so the log is not read."""
    answer = lambdas["reconciler"].invoke(event("schedule"))
    assert (answer["settled"], answer["left"]) == (0, 0)


def test_migration_finds_the_schema_of_its_own_release(lambdas: Lambdas) -> None:
    assert lambdas["migrate"].invoke({}) == {"found": MIGRATION_HEAD, "left": MIGRATION_HEAD}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_function_starts_and_names_the_variables_that_it_lacks(lambdas: Lambdas, entry: Any) -> None:
    """A handler that cannot be imported answers every event with Runtime.ImportModuleError."""
    answer = lambdas[entry.name].invoke({})
    assert not str(answer.get("errorType", "")).startswith("Runtime.")
