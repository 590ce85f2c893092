"""Make the OpenAPI document of all HTTP functions, which the API function serves.

python -m local.openapi           write it
python -m local.openapi --check   fail if the committed document differs from the functions
"""

import json
import sys
from typing import Any, Final

from fastapi.openapi.utils import get_openapi

from functions.admin.app import app as admin
from functions.api.app import app as api
from functions.api.status import OPENAPI
from functions.schemas import PageOf
from functions.turns.handler import app as turns
from local import openapi_refusals
from shared.names import API_PREFIX, VERSION

_OPEN = (f"{API_PREFIX}/health",)
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A JWT of the stage's issuer, or an API key, which begins with `pan_`.",
}
_DESCRIPTION: Final = """\
A council of LLM agents. Post a message to a session, and its agents answer in one turn.

- Times are RFC 3339 in UTC. Amounts are decimal strings in USD. Ids are UUIDv7.
- A list answers `items` and `next_cursor`. Send `next_cursor` as `cursor` to get the next page.
- A query parameter that an operation does not have is 422.
- An error below `/api/v1` is `application/problem+json` (RFC 9457) with a stable `code`.
- An error below `/v1` has OpenAI's form, `{"error": {…}}`, with the same codes.
- The gateway refuses some requests itself (401, 413, 429, 431, 503). Its answer is `{"message": "…"}`.

| status | common codes | what to do |
| --- | --- | --- |
| 401 | | Sign in again. |
| 402 | `budget_exceeded` | Raise the budget, or wait for the next month. |
| 404 | `not_found` | Check the id. Objects of other tenants are 404 too. |
| 409 | `turn_conflict` | Send the request again after `Retry-After` seconds. |
| 422 | `invalid_request` | Correct the fields that `errors` names. |
| 429 | `rate_limited` | Send the request again after `Retry-After` seconds. |
| 503 | `journal_unavailable` | Send the request again with the same `Idempotency-Key`. |
"""
_CONTACT: Final = {"name": "The operator of this deployment"}
_LICENCE: Final = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
# The API function replaces the first address with that of the request.
_SERVERS: Final[list[dict[str, Any]]] = [
    {"url": "/", "description": "The deployment that serves this document."},
    {"url": "http://127.0.0.1:8000", "description": "`make run` on this machine."},
    {
        "url": "https://{apiId}.execute-api.{region}.amazonaws.com/live",
        "description": "A stage on AWS without a domain of its own.",
        "variables": {
            "apiId": {"default": "a1b2c3d4e5", "description": "Id of the REST API."},
            "region": {"default": "eu-central-1", "description": "The stage's Region."},
        },
    },
]
_TAGS: Final = {
    "Sessions": "A session has a roster of agents, a mode and turns.",
    "Turns": "A turn is a message and the answers to it.",
    "Agents": "An agent is a role prompt with a model.",
    "Councils": "A council is a roster and a mode with a name.",
    "Usage and budget": "Tokens, costs and the monthly limit.",
    "API keys": "Credentials for programs.",
    "Service": "Health, the caller and the models.",
    "OpenAI": "OpenAI's API. Any OpenAI client can use it.",
    "MCP": "Model Context Protocol.",
    "Operator": "For the operator of the deployment, over all tenants.",
}
# An operation that makes an object, and the parameter of other operations that takes its id.
_MADE = (
    ("/agents", "post", "201", "key", "key"),
    ("/councils", "post", "201", "key", "key"),
    ("/api-keys", "post", "201", "key_id", "id"),
    ("/sessions", "post", "201", "session_id", "id"),
    ("/sessions/{session_id}/turns", "post", "201", "turn_id", "id"),
    ("/sessions/{session_id}/turns", "post", "202", "turn_id", "id"),
)


def document() -> dict[str, Any]:
    """Return the document as OpenAPI 3.1."""
    routes = [*api.routes, *turns.routes, *admin.routes]
    tags = [{"name": name, "description": description} for name, description in _TAGS.items()]
    described = get_openapi(
        title="Pantheon",
        version=VERSION,
        description=_DESCRIPTION,
        routes=routes,
        servers=_SERVERS,
        tags=tags,
        contact=_CONTACT,
        license_info=_LICENCE,
    )
    components = described["components"]
    components["securitySchemes"] = {"token": _BEARER}
    components["responses"] = {}
    schemas = components["schemas"]
    # FastAPI adds these. No function answers with them.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, schema in schemas.items():
        if name.startswith(PageOf.__name__):
            schema["description"] = PageOf.__doc__
    openapi_refusals.add_schemas(schemas)
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _OPEN else [{"token": []}]
            _describe_success(operation["responses"], schemas)
            openapi_refusals.describe(path, operation, components["responses"])
    _link(described["paths"])
    return described


def _describe_success(responses: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Describe an answer by its schema's description instead of by FastAPI's default."""
    for status, response in responses.items():
        # FastAPI describes a refused body so.
        if "HTTPValidationError" in json.dumps(response):
            response.pop("content")
        if response.get("description") != "Successful Response":
            continue
        content = response.get("content", {}).get("application/json", {})
        schema = schemas.get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        text = schema.get("description", "Done. There is no body.")
        response["description"] = " ".join(text.split("\n\n")[0].split())
        assert status < "300"


def _link(paths: dict[str, Any]) -> None:
    """Link each answer that makes an object to the operations that take its id."""
    for path, method, status, parameter, name in _MADE:
        users = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {parameter: f"$response.body#/{name}"},
            }
            for user, operations in paths.items()
            if f"{{{parameter}}}" in user
            # Agents and councils both have a `key`.
            and (parameter != "key" or user.startswith(f"{API_PREFIX}{path}/"))
            for operation in operations.values()
        }
        paths[f"{API_PREFIX}{path}"][method]["responses"][status]["links"] = users


def main() -> int:
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        OPENAPI.write_text(text)
        return 0
    if OPENAPI.read_text() != text:
        print("The committed OpenAPI document differs from the functions. Run `make openapi-write`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
