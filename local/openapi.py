"""The one OpenAPI document, made from all HTTP functions and committed where the API function serves it.

python -m local.openapi           write it
python -m local.openapi --check   fail where it is not what the functions say
"""

import json
import sys
from http import HTTPStatus
from typing import Any

from fastapi.openapi.utils import get_openapi

from functions.admin.app import app as admin
from functions.api.app import app as api
from functions.api.status import OPENAPI
from functions.turns.handler import app as turns
from shared.names import API_PREFIX, VERSION

_OPEN = (f"{API_PREFIX}/health",)
_BEARER = {"type": "http", "scheme": "bearer", "description": "A JWT of the issuer, or an API key."}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
_OPENAI_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAiProblemView"}}}
_MESSAGE = {"application/json": {"schema": {"$ref": "#/components/schemas/GatewayMessage"}}}
_GATEWAY_MESSAGE = {
    "title": "GatewayMessage",
    "description": "What the gateway itself refuses, before a function sees it.",
    "type": "object",
    "properties": {"message": {"type": ["string", "null"], "title": "Message"}},
    "required": ["message"],
}
# What is made by whom, and which parameter of other operations it is.
_MADE = (
    ("/agents", "post", "201", "key", "key"),
    ("/councils", "post", "201", "key", "key"),
    ("/api-keys", "post", "201", "key_id", "id"),
    ("/sessions", "post", "201", "session_id", "id"),
    ("/api-keys", "post", "201", "key_id", "id"),
    ("/sessions/{session_id}/turns", "post", "201", "turn_id", "id"),
    ("/sessions/{session_id}/turns", "post", "202", "turn_id", "id"),
)


def document() -> dict[str, Any]:
    """The contract of every function as OpenAPI 3.1."""
    routes = [*api.routes, *turns.routes, *admin.routes]
    described = get_openapi(
        title="Pantheon", version=VERSION, description=_DESCRIPTION, routes=routes, servers=[{"url": "/"}]
    )
    described["components"]["securitySchemes"] = {"token": _BEARER}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _OPEN else [{"token": []}]
            _say_problems(path, operation)
    _link(described["paths"])
    schemas = described["components"]["schemas"]
    # The framework's own, which are never answered.
    for name in ("HTTPValidationError", "ValidationError"):
        del schemas[name]
    schemas["GatewayMessage"] = _GATEWAY_MESSAGE
    return described


def _say_problems(path: str, operation: dict[str, Any]) -> None:
    """What an operation answers beside what its route says: the function as a problem, the gateway as a message."""
    responses, body = operation["responses"], "requestBody" in operation
    ours = {status for status in responses if status >= "400"} - {"422"}
    if path in _OPEN:
        ours.clear()
    ours |= {"404"} if "{" in path else set()
    ours |= {"400"} if body else set()
    # A query parameter that an operation does not have is refused.
    ours |= {"422"}
    theirs = {"429", "431", "503"} | ({"413"} if body else set())
    if operation["security"]:
        ours |= {"401", "503"}
        theirs |= {"401"}
    for status in sorted(ours | theirs):
        said = responses.get(status, {}).get("content", {}) if path in (*_OPEN, "/mcp") else {}
        if path.startswith("/v1/") and status in ours:
            said = _OPENAI_PROBLEM
        elif status in ours:
            said = said | _PROBLEM
        content = said | (_MESSAGE if status in theirs else {})
        if "application/json" in said and status in theirs:
            both = [said["application/json"]["schema"], _MESSAGE["application/json"]["schema"]]
            content = {"application/json": {"schema": {"anyOf": both}}}
        responses[status] = {"description": HTTPStatus(int(status)).phrase, "content": content}
    operation["responses"] = dict(sorted(responses.items()))


def _link(paths: dict[str, Any]) -> None:
    """Say of what is made where it can be used."""
    for path, method, status, parameter, name in _MADE:
        users = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {parameter: f"$response.body#/{name}"},
            }
            for user, operations in paths.items()
            if f"{{{parameter}}}" in user
            # Agents and councils each have a key.
            and (parameter != "key" or user.startswith(f"{API_PREFIX}{path}/"))
            for operation in operations.values()
        }
        paths[f"{API_PREFIX}{path}"][method]["responses"][status]["links"] = users


_DESCRIPTION = (
    "A council of LLM agents. Errors are application/problem+json with a stable `code`; what the gateway itself "
    'refuses (401, 413, 429, 503) is `{"message": "..."}`. Times are RFC 3339 in UTC, money is a decimal string in USD.'
    ' Under /v1, errors are OpenAI\'s `{"error": {...}}` with the same codes.'
)


def main() -> int:
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        OPENAPI.write_text(text)
        return 0
    if OPENAPI.read_text() != text:
        print("The committed OpenAPI document is not what the functions serve: run `make openapi-write`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
