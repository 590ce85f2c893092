"""Write errors in OpenAI's form for every path under `/v1`: `{"error": {"message", "type", "param", "code"}}`.

OpenAI's SDKs choose their exception by the status, and obey the header `x-should-retry`. `code` is Pantheon's. `type`
is OpenAI's word for the status.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from starlette.types import Scope

_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
)
# A retry may succeed after these, so the SDKs decide.
_RETRIED: Final = (408, 409, 429)
HANDED_OVER: Final = "turn_handed_over"


def speaks_openai(scope: Scope) -> bool:
    """Return whether the request's path belongs to OpenAI's API."""
    path: str = scope["path"]
    return f"{path}/".startswith("/v1/")


def param_of(place: Sequence[str | int]) -> str:
    """Return the name of a field in OpenAI's form, such as `messages[3].content`."""
    first, *rest = place[1:] or place
    return str(first) + "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in rest)


def error_json(status: int, code: str, message: str, param: str | None) -> str:
    """Write the body of an error on one line."""
    # ASCII, so that a lone surrogate of the client's cannot break the answer.
    return json.dumps(error_body(status, code, message, param))


def error_body(status: int, code: str, message: str, param: str | None) -> dict[str, object]:
    """Return the body of an error."""
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def retry_headers(status: int, code: str) -> dict[str, str]:
    """Return the header that makes an SDK retry or not, if its own decision would be wrong."""
    if code == HANDED_OVER:
        return {"x-should-retry": "true"}
    if status == 502 or (400 <= status < 500 and status not in _RETRIED):
        return {"x-should-retry": "false"}
    return {}
