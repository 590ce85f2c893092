"""Tests that unknown query parameters are refused on each route of each HTTP function."""

import json
import re
from collections.abc import Mapping

import pytest

from functions.api import status
from local.gateway.worker import LambdaContext
from tests.support.gateway import Handler, body_of, openai_error_of, problem_of, request

PATHS = json.loads(status.OPENAPI.read_text())["paths"]
ID = "019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"
OPERATIONS = [(method.upper(), path) for path, operations in PATHS.items() for method in operations]
# Addresses that the document leaves out.
OPERATIONS += [
    ("GET", path)
    for path in (
        *("/", "/console", "/console/config.json", "/docs", "/docs/index.html"),
        *("/openapi.json", "/api/v1/openapi.json"),
    )
]
AGENT = {"name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}
COUNCIL = {"name": "Panel", "mode": "council", "agent_keys": ["writer"]}
LIMIT = {"limit_usd": "1"}
BODIES: dict[tuple[str, str], Mapping[str, object]] = {
    ("POST", "/api/v1/agents"): {"key": "writer", **AGENT},
    ("PUT", "/api/v1/agents/{key}"): AGENT,
    ("POST", "/api/v1/councils"): {"key": "panel", **COUNCIL},
    ("PUT", "/api/v1/councils/{key}"): COUNCIL,
    ("POST", "/api/v1/sessions"): {"agent_keys": ["writer"]},
    ("PATCH", "/api/v1/sessions/{session_id}"): {},
    ("POST", "/api/v1/sessions/{session_id}/turns"): {"message": "Hello."},
    ("POST", "/api/v1/api-keys"): {"name": "CI"},
    ("POST", "/v1/chat/completions"): {"model": "writer", "messages": [{"role": "user", "content": "Hello."}]},
    ("POST", "/mcp"): {"jsonrpc": "2.0", "id": 1, "method": "ping"},
    ("PUT", "/api/v1/budget"): LIMIT,
    ("PUT", "/api/v1/admin/tenants/{tenant_id}/cap"): LIMIT,
    ("PUT", "/api/v1/admin/platform/budget"): LIMIT,
}


@pytest.fixture
def ask(api: Handler, admin: Handler, turns: Handler, context: LambdaContext) -> Handler:
    """The function to which the front door sends a request."""

    def asked(event: dict[str, object], _: LambdaContext) -> dict[str, object]:
        path = str(event["path"])
        posted = event["httpMethod"] == "POST" and path.endswith(("/turns", "/completions", "/mcp"))
        handler = turns if posted else admin if "/admin/" in path else api
        return handler(event, context)

    return asked


def address(path: str) -> str:
    return re.sub(r"\{\w+_id\}", ID, path.replace("{key}", "writer"))


def called(
    method: str, path: str, query: str, roles: tuple[str, ...] = ("admin", "pantheon:operator")
) -> dict[str, object]:
    event = request(method, address(path), BODIES.get((method, path)), query)
    event["requestContext"]["authorizer"]["roles"] = json.dumps(roles)
    return event


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_unknown_parameters_are_named_on_every_route(
    ask: Handler, context: LambdaContext, method: str, path: str
) -> None:
    answer = ask(called(method, path, "limt=1&limt=2&Order=&a%20b=1"), context)
    if path.startswith("/v1/"):
        error = openai_error_of(answer, 422, "invalid_request")
        assert error["param"] == "limt"
        assert all(f"query.{name}: This call has no such" in error["message"] for name in ("limt", "Order", "a b"))
        return
    problem = problem_of(answer, 422, "invalid_request")
    assert [fault["path"] for fault in problem["errors"]] == ["query.limt", "query.Order", "query.a b"]
    assert "query.limt: This call has no such query parameter" in problem["detail"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_parameters_of_a_route_are_known(ask: Handler, context: LambdaContext, method: str, path: str) -> None:
    """Each is accepted, or it is refused for its value."""
    parameters = PATHS.get(path, {}).get(method.lower(), {}).get("parameters", ())
    for name in (given["name"] for given in parameters if given["in"] == "query"):
        answer = ask(called(method, path, f"{name}=%00"), context)
        assert "no such query parameter" not in str(answer["body"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/v1/agents/{key}", 403),
        ("POST", "/api/v1/agents", 403),
        ("PUT", "/api/v1/councils/{key}", 403),
        ("GET", "/api/v1/admin/usage", 403),
        ("GET", "/api/v1/sessions/1", 404),
        ("POST", "/api/v1/sessions/1/turns", 404),
        ("GET", "/api/v1/nothing", 404),
        ("OPTIONS", "/api/v1/agents", 405),
    ],
)
def test_other_refusal_precedes_an_unknown_parameter(
    ask: Handler, context: LambdaContext, method: str, path: str, status: int
) -> None:
    body = BODIES.get((method, path)) or ({"message": "Hello."} if method == "POST" else None)
    event = called(method, path, "limt=1", ("member",)) | ({"body": json.dumps(body)} if body else {})
    event["multiValueHeaders"] = {"Content-Type": ["application/json"]}
    answer = ask(event, context)
    assert answer["statusCode"] == status


def test_unknown_parameters_of_one_request_are_not_reported_for_the_next(ask: Handler, context: LambdaContext) -> None:
    problem_of(ask(called("GET", "/api/v1/models", "limt=1"), context), 422, "invalid_request")
    assert body_of(ask(called("GET", "/api/v1/models", ""), context))["items"]


def test_long_name_of_a_parameter_is_cut(ask: Handler, context: LambdaContext) -> None:
    query = "&".join(f"{'x' * 500}{number}=1" for number in range(300))
    problem = problem_of(ask(called("GET", "/api/v1/models", query), context), 422, "invalid_request")
    assert len(problem["errors"]) == 100
    assert all(len(fault["path"]) == 200 for fault in problem["errors"])
