"""Describe the errors and headers of an operation for the OpenAPI document."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from shared.errors import PantheonError

# The argument `responses` of a route in FastAPI.
Responses = dict[int | str, dict[str, Any]]
# Codes and details of a status. `local.openapi` makes examples of them.
ERRORS: Final = "x-errors"
RETRY_AFTER: Final = "Retry-After"

_HEADERS: Final[Mapping[str, tuple[str, object]]] = MappingProxyType(
    {
        "Allow": ("The methods of this address.", "GET, POST"),
        "Content-Disposition": ("A file name for the answer.", 'attachment; filename="usage.csv"'),
        "ETag": ("The version in quotes. Send it as `If-Match` to change only this version.", '"3"'),
        "Idempotency-Replayed": ("`true` if an earlier request with this key made the turn.", "true"),
        "Link": ("The address of the next page. Missing on the last page.", '</api/v1/usage/calls?…>; rel="next"'),
        "Location": ("The address of the turn.", "/api/v1/turns/019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"),
        RETRY_AFTER: ("Seconds to wait before the next request.", 5),
        "WWW-Authenticate": ("How to sign in, and why the token was refused.", 'Bearer error="invalid_token"'),
        "x-should-retry": ("`true` or `false`: whether OpenAI's SDKs send the request again.", "false"),
    }
)


def sends(*names: str) -> dict[str, Any]:
    """Describe the headers of a response."""
    return {"headers": {name: _header(*_HEADERS[name]) for name in names}}


def refusals(*errors: type[PantheonError]) -> Responses:
    """Describe the errors of an operation beside those that every operation has."""
    described: Responses = {}
    for error in errors:
        codes = described.setdefault(error.status, {ERRORS: {}})[ERRORS]
        codes[error.code] = " ".join((error.__doc__ or "").split())
    return described


def _header(description: str, example: object) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "schema": {"type": kind}, "example": example}
