"""API Gateway's side of a request, for tests of the HTTP functions: events in, answers out."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from functions.http import PROBLEM_JSON
from local.gateway.worker import LambdaContext

EVENTS = Path(__file__).parents[1] / "events"
REQUEST_ID = "WbX1hgdrliAEJkQ="
NONE: Mapping[str, str] = MappingProxyType({})

LogLines = Callable[[], list[dict[str, Any]]]
Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def request(
    method: str, path: str, body: object = None, query: str = "", headers: Mapping[str, str] = NONE
) -> dict[str, Any]:
    """An event of API Gateway's for this request: `body` is text, or bytes that travel in base64, or is made JSON."""
    built = event("api_get")
    built |= {"rawPath": path, "rawQueryString": query}
    built["requestContext"]["http"] |= {"method": method, "path": path}
    if body is not None:
        built["headers"]["content-type"] = "application/json"
        built["isBase64Encoded"] = isinstance(body, bytes)
        match body:
            case bytes():
                built["body"] = b64encode(body).decode()
            case str():
                built["body"] = body
            case _:
                built["body"] = json.dumps(body)
    built["headers"] |= headers
    return built


def with_claims(**changes: str | None) -> dict[str, Any]:
    """GET /auth/me with other claims; None takes one away."""
    asked = request("GET", "/api/v1/auth/me")
    claims = asked["requestContext"]["authorizer"]["jwt"]["claims"] | changes
    asked["requestContext"]["authorizer"]["jwt"]["claims"] = {k: v for k, v in claims.items() if v is not None}
    return asked


def body_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["headers"]["content-type"] == "application/json"
    read: dict[str, Any] = json.loads(answer["body"])
    return read


def problem_of(answer: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    """The problem document, checked for what all of them have in common."""
    assert answer["headers"]["content-type"] == PROBLEM_JSON
    assert answer["isBase64Encoded"] is False
    problem: dict[str, Any] = json.loads(answer["body"])
    assert (answer["statusCode"], problem["status"], problem["code"]) == (status, status, code)
    assert list(problem)[:6] == ["type", "title", "status", "code", "detail", "request_id"]
    assert problem["type"].endswith(code)
    assert problem["request_id"] == REQUEST_ID
    assert "Traceback" not in answer["body"]
    return problem
