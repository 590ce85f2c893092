"""Tests every operation of the API's document without a token, with a refused one, and with a key."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from local.stack import Stack
from shared.db.engine import Row
from shared.names import CORS_RESPONSE_HEADERS
from tests.support.issuer import Issuer
from tests.support.stack.operations import OPERATIONS, Operation
from tests.support.stack.tenant import Tenant, open_client

SECURED = [each for each in OPERATIONS if each.secured]
OPEN = [each for each in OPERATIONS if not each.secured]
ORIGIN = {"Origin": "http://localhost:5173"}


@pytest.fixture
def anonymous(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stack.url}/api/v1/", timeout=60) as http:
        yield http


def places(operation: Operation) -> str:
    """Return the operation's path with well-formed, unused ids."""
    return operation.path.format_map(
        {name: str(uuid4()) for name in operation.path_parameters}
        | {"key": "nobodys", "council_key": "nobodys-council"}
    )


def ask(http: httpx.Client, operation: Operation, **headers: str) -> httpx.Response:
    body: dict[str, Any] = {"json": operation.body()} if operation.fields is not None else {}
    if operation.path in ("agents", "councils") and body:
        # It can be made once.
        body["json"]["key"] = f"key-{uuid4().hex[:20]}"
    return http.request(operation.method, places(operation), headers=headers, **body)


@pytest.mark.parametrize("operation", SECURED, ids=str)
class TestEveryOperation:
    def test_operation_without_a_token_is_401_by_the_gateway(
        self, anonymous: httpx.Client, operation: Operation
    ) -> None:
        answer = ask(anonymous, operation)
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("credential", ["nonsense", "pan_short", f"pan_{'0' * 43}", Issuer("stranger").token()])
    def test_operation_with_an_invalid_credential_is_401_with_its_reason(
        self, anonymous: httpx.Client, operation: Operation, credential: str
    ) -> None:
        answer = ask(anonymous, operation, Authorization=f"Bearer {credential}")
        assert (answer.status_code, list(answer.json())) == (401, ["message"])
        reason = answer.json()["message"]
        assert answer.headers["www-authenticate"] == f'Bearer error="invalid_token", error_description="{reason}"'

    def test_a_preflight_is_answered_without_a_token(self, anonymous: httpx.Client, operation: Operation) -> None:
        asked = {**ORIGIN, "Access-Control-Request-Method": operation.method}
        asked |= {"Access-Control-Request-Headers": "authorization,content-type,idempotency-key"}
        answer = anonymous.options(places(operation), headers=asked)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN["Origin"])
        assert operation.method in answer.headers["access-control-allow-methods"]

    def test_a_page_reads_a_refusal(self, anonymous: httpx.Client, operation: Operation) -> None:
        answer = ask(anonymous, operation, **ORIGIN)
        assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN["Origin"])

    def test_key_has_the_rights_of_its_role(self, tenant: Tenant, stack: Stack, operation: Operation) -> None:
        """A member's key has the rights of a member and no more. A key makes no key."""
        key = tenant.http.post("api-keys", json={"name": "walk"}).json()["key"]
        member = stack.token(tenant=tenant.id, roles=("member",))
        by_key, by_token = (ask_as(stack, credential, operation).status_code for credential in (key, member))
        assert by_key == (403 if operation.path.startswith("api-keys") else by_token)


def ask_as(stack: Stack, credential: str, operation: Operation) -> httpx.Response:
    with open_client(stack.url, credential) as http:
        return ask(http, operation)


@pytest.mark.parametrize("operation", OPEN, ids=str)
def test_open_operation_needs_no_token_and_ignores_a_bad_one(anonymous: httpx.Client, operation: Operation) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        assert ask(anonymous, operation, **headers).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/api", "/api/v2/models", "/favicon.ico", "/.env"])
def test_unknown_paths_are_404_by_the_gateway(stack: Stack, path: str) -> None:
    answer = httpx.get(f"{stack.url}{path}")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/nothing", "/mcp"])
def test_routes_beside_the_api_take_a_token(stack: Stack, path: str) -> None:
    assert httpx.post(f"{stack.url}{path}").status_code == 401
    answer = httpx.post(f"{stack.url}{path}", headers={"Authorization": f"Bearer {stack.token()}"})
    assert answer.status_code in (400, 404, 415)
    assert answer.json()["error"]


def test_the_root_leads_to_the_console(stack: Stack) -> None:
    answer = httpx.get(stack.url)
    assert (answer.status_code, answer.headers["location"]) == (307, "/console/")


def test_a_page_of_localhost_reads_what_it_needs(tenant: Tenant, session_id: str) -> None:
    answer = tenant.http.post(
        f"sessions/{session_id}/turns", json={"message": "@writer hello"}, headers={**ORIGIN, "Prefer": "respond-async"}
    )
    assert answer.status_code == 202
    assert answer.headers["location"].startswith("/api/v1/turns/")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert set(exposed) == set(CORS_RESPONSE_HEADERS)
    tenant.wait_for(answer.json()["id"])


def test_page_of_another_origin_reads_nothing(tenant: Tenant) -> None:
    answer = tenant.http.get("models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_group_named_crane_operator_has_no_operator_role(stack: Stack) -> None:
    for roles in (["crane operator"], ["operator "], ["[operator]"], ["Operator"]):
        with open_client(stack.url, stack.token(roles=roles)) as http:
            assert http.get("auth/me").json()["roles"] == ["member"]
            assert http.get("admin/usage").status_code == 403


def test_a_hundred_health_checks_open_no_connection_each(
    stack: Stack, anonymous: httpx.Client, owner: psycopg.Connection[Row]
) -> None:
    count = b"SELECT count(*) FROM pg_stat_activity WHERE usename = 'pantheon_app'"
    anonymous.get("health")
    (before,) = owner.execute(count).fetchall()
    for _ in range(100):
        assert anonymous.get("health").status_code == 200
        assert httpx.get(f"{stack.url}/unknown").status_code == 404
        assert anonymous.get("agents").status_code == 401
    (after,) = owner.execute(count).fetchall()
    assert after == before


def test_tokens_and_keys_are_in_no_log(tenant: Tenant, stack: Stack) -> None:
    key = tenant.http.post("api-keys", json={"name": "logged"}).json()["key"]
    token = stack.token(tenant=tenant.id)
    for credential in (key, token, f"{key}x", f"{token}x"):
        httpx.get(f"{stack.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {credential}"})
    logged = "\n".join(path.read_text(errors="replace") for path in stack.log_dir.glob("*.log"))
    assert key not in logged
    assert token.rpartition(".")[2] not in logged


def test_the_document_says_how_to_sign_in(anonymous: httpx.Client, stack: Stack) -> None:
    document: dict[str, Any] = json.loads(httpx.get(f"{stack.url}/openapi.json").text)
    assert document["servers"][0]["url"] == "/"
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
