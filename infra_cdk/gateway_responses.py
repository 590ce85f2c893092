"""Define the answers of the REST API without a function: refusals, unknown paths, throttling, failures.

Each has the form `{"message"}`. If the stage has `cors_origins`, pages of other origins can read it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from aws_cdk import aws_apigateway as apigateway

from shared.names import CORS_RESPONSE_HEADERS

_NONE: Mapping[str, str] = MappingProxyType({})
# Seconds. The authorizer asks the database for each request, and the bucket every 2 s until it has the issuer's keys.
_RETRY_AUTHORIZER: Final = "5"
_RETRY_THROTTLED: Final = "1"
# The web ACL counts the requests of five minutes about every 30 seconds.
_RETRY_BLOCKED: Final = "60"


@dataclass(frozen=True)
class Answer:
    """An answer of API Gateway. Without `status` and `message`, API Gateway's own are used.

    The value of a header is text in single quotes, or a variable of the request's context."""

    type: apigateway.ResponseType
    status: int | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)


def _text(value: str) -> str:
    """Quote text as the value of a header."""
    return f"'{value}'"


_Type = apigateway.ResponseType
_UNAVAILABLE: Final = (503, "Service Unavailable", {"Retry-After": _text(_RETRY_AUTHORIZER)})
ANSWERS: Final = (
    Answer(_Type.UNAUTHORIZED, 401, "Unauthorized", {"WWW-Authenticate": _text("Bearer")}),
    # The authorizer writes both. A test checks that its reasons contain no quotes.
    Answer(
        _Type.ACCESS_DENIED,
        401,
        "$context.authorizer.reason",
        {"WWW-Authenticate": "context.authorizer.challenge"},
    ),
    Answer(_Type.AUTHORIZER_FAILURE, *_UNAVAILABLE),
    Answer(_Type.AUTHORIZER_CONFIGURATION_ERROR, *_UNAVAILABLE),
    # A REST API gives these answers for an unknown path or method. With an Authorization header, it looks for a
    # signature of AWS, which no route uses.
    Answer(_Type.MISSING_AUTHENTICATION_TOKEN, 404, "Not Found"),
    Answer(_Type.INVALID_SIGNATURE, 404, "Not Found"),
    Answer(_Type.THROTTLED, 429, "Too Many Requests", {"Retry-After": _text(_RETRY_THROTTLED)}),
    # The only rule of the web ACL blocks an address that sends too many requests.
    Answer(_Type.WAF_FILTERED, 429, "Too Many Requests", {"Retry-After": _text(_RETRY_BLOCKED)}),
    Answer(_Type.DEFAULT_4_XX),
    Answer(_Type.DEFAULT_5_XX),
)


def add_answers(rest: apigateway.RestApi, readable: bool) -> None:
    """Add the answers to the API. With `readable`, pages of other origins may read them."""
    cors = {}
    if readable:
        exposed = _text(",".join(CORS_RESPONSE_HEADERS))
        cors = {"Access-Control-Allow-Origin": _text("*"), "Access-Control-Expose-Headers": exposed}
    for answer in ANSWERS:
        if answer.status is None and not cors:
            # API Gateway's own answer is sufficient.
            continue
        rest.add_gateway_response(
            answer.type.response_type,
            type=answer.type,
            status_code=str(answer.status) if answer.status else None,
            response_headers={**answer.headers, **cors} or None,
            templates={"application/json": json.dumps({"message": answer.message})} if answer.message else None,
        )
