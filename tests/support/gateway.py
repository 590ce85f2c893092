"""Plays API Gateway for tests of the HTTP functions: makes events and reads answers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, quote

from functions.problems import PROBLEM_JSON
from local.gateway.worker import LambdaContext

EVENTS = Path(__file__).parent / "events"
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
    """An event of API Gateway's for this request: `body` is text, or is made JSON."""
    built = event("api_get") | {"httpMethod": method, "path": path}
    built["requestContext"] |= {"httpMethod": method, "path": quote(f"/live{path}", errors="surrogatepass")}
    if query:
        values = parse_qs(query, keep_blank_values=True)
        built["multiValueQueryStringParameters"] = values
        built["queryStringParameters"] = {name: given[-1] for name, given in values.items()}
    given = dict(headers)
    if body is not None:
        given = {"Content-Type": "application/json"} | given
        built["body"] = body if isinstance(body, str) else json.dumps(body)
    for name, value in given.items():
        built["headers"][name], built["multiValueHeaders"][name] = value, [value]
    return built


def as_caller(**changes: str | None) -> dict[str, Any]:
    """GET /auth/me of another caller; None takes a field away."""
    asked = request("GET", "/api/v1/auth/me")
    told = asked["requestContext"]["authorizer"] | changes
    asked["requestContext"]["authorizer"] = {k: v for k, v in told.items() if v is not None}
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


def openai_error_of(answer: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    """The error in OpenAI's form, checked for what all of them have in common."""
    error: dict[str, Any] = body_of(answer)["error"]
    assert (answer["statusCode"], error["code"]) == (status, code)
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["message"], str)
    assert "Traceback" not in answer["body"]
    return error
