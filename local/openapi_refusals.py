"""Describe the errors of every operation in the OpenAPI document: the functions' own and the gateway's."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from functions.http import NOT_JSON
from functions.openai_errors import error_body, retry_headers
from functions.problems import problem_body
from functions.responses import ERRORS, RETRY_AFTER, sends
from functions.schemas import ProblemView
from functions.turns.chat_body import OpenAiErrorView, OpenAiProblemView
from shared import errors

Document = dict[str, Any]
MCP: Final = "/mcp"
_REQUEST_ID: Final = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
# The gateway refuses these itself, before a function sees the request. 401 and 413 depend on the operation.
_GATEWAYS: Final = {
    "401": "Unauthorized",
    "413": "Request Too Long",
    "429": "Too Many Requests",
    "431": "Request Header Fields Too Large",
    "503": "Service Unavailable",
}
_TEXTS: Final = {
    "400": "The body is not JSON.",
    "401": "The token or API key is missing or refused. Sign in again.",
    "404": "There is nothing at this address, or the caller may not see it.",
    "413": "The request is too long.",
    "422": "The request is not what this operation takes. `detail` and `errors` name the fields.",
    "429": "Too many requests. Send the request again after `Retry-After` seconds.",
    "431": "The headers of the request are too long.",
    "502": "No agent answered. `code` says why.",
    "503": "The service cannot answer now. Send the request again after some seconds.",
}
_UNAUTHORIZED: Final = {errors.Unauthorized.code: errors.Unauthorized().detail}
_COMMON: Final = {
    "400": {"invalid_json": NOT_JSON},
    "404": {errors.NotFound.code: errors.NotFound().detail},
    "422": {errors.InvalidRequest.code: "query.limt: This call has no such query parameter"},
    "503": {errors.DatabaseUnavailable.code: errors.DatabaseUnavailable().detail},
}
_MCPS: Final = {
    "403": "Pages of this origin may not use MCP.",
    "406": "`Accept` must have `application/json` or `text/event-stream`.",
    "415": "The body must be `application/json`.",
}
# Python 3.13 renamed these. The document is the same with every version.
_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
_MESSAGE: Final = {
    "title": "GatewayMessage",
    "description": "An error of the gateway, before a function sees the request.",
    "type": "object",
    "properties": {
        "message": {
            "type": ["string", "null"],
            "title": "Message",
            "description": "A sentence for people. It can be null.",
            "examples": ["Unauthorized"],
        }
    },
    "required": ["message"],
}


# Members that some codes add to a problem document.
_MEMBERS: Final = {
    "errors": {
        "description": "`invalid_request` and `invalid_message`: the faults, at most 100.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Place of the fault.", "examples": ["query.limt"]},
                "message": {"type": "string", "description": "A sentence for people.", "examples": ["Field required"]},
                "type": {"type": "string", "description": "Kind of the fault.", "examples": ["missing"]},
            },
            "required": ["path", "message", "type"],
        },
        "examples": [[{"path": "body.title", "message": "Field required", "type": "missing"}]],
    },
    "active_turn_id": {
        "type": "string",
        "description": "`turn_conflict`: id of the turn that is active.",
        "examples": ["019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"],
    },
    "quota": {
        "type": "string",
        "description": "`quota_exceeded`: the objects that it counts.",
        "examples": ["sessions"],
    },
    "limit": {"type": "integer", "description": "`quota_exceeded`: the most objects.", "examples": [10_000]},
    "cap_usd": {"type": "string", "description": "`budget_above_cap`: the cap, in USD.", "examples": ["100"]},
    "longest_days": {"type": "integer", "description": "Most days of the period.", "examples": [400]},
    "groups": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Groups that `group_by` takes.",
        "examples": [["day", "model_alias"]],
    },
}


def add_schemas(schemas: Document) -> None:
    """Add the schemas of errors. `Refusal` is any error below `/api/v1`, `OpenAiRefusal` any error below `/v1`."""
    for model in (ProblemView, OpenAiErrorView, OpenAiProblemView):
        made = model.model_json_schema(ref_template="#/components/schemas/{model}")
        made.pop("$defs", None)
        schemas[model.__name__] = made
    schemas["ProblemView"]["properties"].update(_MEMBERS)
    schemas["GatewayMessage"] = _MESSAGE
    for name, own in (("Refusal", ProblemView), ("OpenAiRefusal", OpenAiProblemView)):
        schemas[name] = {
            "title": name,
            "description": f"An error: of a function (`{own.__name__}`), or of the gateway (`GatewayMessage`).",
            "anyOf": [_ref("schemas", own.__name__), _ref("schemas", "GatewayMessage")],
        }


def describe(path: str, operation: Document, shared: Document) -> None:
    """Describe the errors of an operation. Errors that several operations have go to `shared`."""
    responses, has_body, is_open = operation["responses"], "requestBody" in operation, not operation["security"]
    own = {status: answer.get(ERRORS, {}) for status, answer in responses.items() if status >= "400"}
    common = {"422"} | ({"404"} if "{" in path else set()) | ({"400"} if has_body else set())
    theirs = {"429", "431", "503"} | ({"413"} if has_body else set())
    if not is_open:
        common, theirs = common | {"503"}, theirs | {"401"}
    for status in sorted(own.keys() | common | theirs):
        said = responses.get(status, {}).get("content", {})
        codes = (_COMMON.get(status, {}) if status in common else {}) | own.get(status, {})
        answer = _answer(path, status, codes, status in theirs, said)
        if own.get(status) or said:
            responses[status] = answer
            continue
        name = ("OpenAi" if path.startswith("/v1/") else "") + _phrase(int(status)).replace(" ", "")
        assert shared.setdefault(name, answer) == answer, name
        responses[status] = _ref("responses", name)
    operation["responses"] = dict(sorted(responses.items()))


def _answer(path: str, status: str, codes: Mapping[str, str], by_gateway: bool, said: Document) -> Document:
    speaks_openai = path.startswith("/v1/")
    media_type, refusal = "application/problem+json", "Refusal" if by_gateway else "ProblemView"
    if speaks_openai:
        media_type, refusal = "application/json", "OpenAiRefusal" if by_gateway else "OpenAiProblemView"
    content: Document = {kind: dict(kept) for kind, kept in said.items()}
    # A caller's own 401 has the function's form too.
    named = _UNAUTHORIZED if status == "401" else codes
    examples = {code: _example(int(status), code, detail, speaks_openai) for code, detail in named.items()}
    if examples:
        content[media_type] = {"schema": _ref("schemas", refusal), "examples": examples}
    elif said and path == MCP:
        # MCP has errors of its own, and an error before its messages are read is a problem.
        content[media_type] = {"schema": _ref("schemas", refusal)}
    if by_gateway:
        _add_message(content, status, refusal)
    description = _TEXTS.get(status) or " ".join(codes.values()) or _MCPS[status]
    described: Document = {"description": description, "content": content}
    return described | _headers(status, codes, speaks_openai)


def _add_message(content: Document, status: str, refusal: str) -> None:
    """Add the gateway's answer. One schema has both forms, so that generated clients read both."""
    example = {"gateway": {"summary": "The gateway's answer", "value": {"message": _GATEWAYS[status]}}}
    kept = content.get("application/json", {})
    schemas = [kept["schema"]] if "schema" in kept else []
    both = schemas and schemas[0] != _ref("schemas", refusal)
    schema = {"anyOf": [*schemas, _ref("schemas", refusal)]} if both else _ref("schemas", refusal)
    content["application/json"] = {"schema": schema, "examples": kept.get("examples", {}) | example}


def _example(status: int, code: str, detail: str, speaks_openai: bool) -> Document:
    if speaks_openai:
        return {"summary": code, "value": error_body(status, code, detail, None)}
    extra = _EXTRA.get(code, {})
    value = problem_body(status, code, detail, _REQUEST_ID, extra) | {"title": _phrase(status)}
    return {"summary": code, "value": value}


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


_EXTRA: Final[Mapping[str, Mapping[str, object]]] = {
    errors.InvalidRequest.code: {
        "errors": [
            {"path": "query.limt", "message": "This call has no such query parameter", "type": "unknown_parameter"}
        ]
    },
    errors.TurnConflict.code: {"active_turn_id": "019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"},
    errors.QuotaExceeded.code: {"quota": "sessions", "limit": 10_000},
    errors.AboveCap.code: {"cap_usd": "100"},
}


def _headers(status: str, codes: Mapping[str, str], speaks_openai: bool) -> Document:
    names = []
    if status == "401":
        names.append("WWW-Authenticate")
    if status in ("429", "503") or errors.TurnConflict.code in codes:
        names.append(RETRY_AFTER)
    if speaks_openai and codes and any(retry_headers(int(status), code) for code in codes):
        names.append("x-should-retry")
    return sends(*names) if names else {}


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
