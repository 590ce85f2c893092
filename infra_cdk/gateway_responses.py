"""The answers that the REST API gives without a function: refusals, unknown paths, throttling, failures.

Each has the form `{"message"}`. Where the stage has origins, each can be read by a page of another origin.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from aws_cdk import aws_apigateway as apigateway

from shared.names import CORS_RESPONSE_HEADERS

_NONE: Mapping[str, str] = MappingProxyType({})
# Seconds. The authorizer asks its database with each request. While it has no keys of the issuer, it asks the bucket
# every two seconds.
_RETRY_AUTHORIZER: Final = "5"
_RETRY_THROTTLED: Final = "1"
# The web ACL counts an address's requests of five minutes, and does so about every 30 seconds.
_RETRY_BLOCKED: Final = "60"


@dataclass(frozen=True)
class Answer:
    """An answer of the gateway. `status` and `message` are API Gateway's own unless they are given. A header's value is
    text in single quotes, or a variable of the request's context."""

    type: apigateway.ResponseType
    status: int | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)


def _text(value: str) -> str:
    """A header's value that is text."""
    return f"'{value}'"


_Type = apigateway.ResponseType
_UNAVAILABLE: Final = (503, "Service Unavailable", {"Retry-After": _text(_RETRY_AUTHORIZER)})
ANSWERS: Final = (
    Answer(_Type.UNAUTHORIZED, 401, "Unauthorized", {"WWW-Authenticate": _text("Bearer")}),
    # The authorizer writes both, and a test holds its reasons to be free of quotes.
    Answer(
        _Type.ACCESS_DENIED,
        401,
        "$context.authorizer.reason",
        {"WWW-Authenticate": "context.authorizer.challenge"},
    ),
    Answer(_Type.AUTHORIZER_FAILURE, *_UNAVAILABLE),
    Answer(_Type.AUTHORIZER_CONFIGURATION_ERROR, *_UNAVAILABLE),
    # A REST API answers a path or a method that it does not have in these ways: with an Authorization header it looks
    # for a signature of AWS, which no route here takes.
    Answer(_Type.MISSING_AUTHENTICATION_TOKEN, 404, "Not Found"),
    Answer(_Type.INVALID_SIGNATURE, 404, "Not Found"),
    Answer(_Type.THROTTLED, 429, "Too Many Requests", {"Retry-After": _text(_RETRY_THROTTLED)}),
    # The web ACL has one rule, which blocks an address that sends too much.
    Answer(_Type.WAF_FILTERED, 429, "Too Many Requests", {"Retry-After": _text(_RETRY_BLOCKED)}),
    Answer(_Type.DEFAULT_4_XX),
    Answer(_Type.DEFAULT_5_XX),
)


def add_answers(rest: apigateway.RestApi, readable: bool) -> None:
    """Give the API its answers. `readable`: pages of other origins may read them."""
    cors = {}
    if readable:
        exposed = _text(",".join(CORS_RESPONSE_HEADERS))
        cors = {"Access-Control-Allow-Origin": _text("*"), "Access-Control-Expose-Headers": exposed}
    for answer in ANSWERS:
        if answer.status is None and not cors:
            # API Gateway's own answer will do.
            continue
        rest.add_gateway_response(
            answer.type.response_type,
            type=answer.type,
            status_code=str(answer.status) if answer.status else None,
            response_headers={**answer.headers, **cors} or None,
            templates={"application/json": json.dumps({"message": answer.message})} if answer.message else None,
        )
