"""The gateway as an ASGI app: route, authorise, build the event, invoke, answer.

The rule this file protects: what API Gateway refuses is refused here, with the same status and body, before a
function sees it; everything else is the function's to answer.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from local.gateway.event import InvalidResponse, build_event, build_response
from local.gateway.pool import InvocationResult, Pool, Status
from local.gateway.routes import Route, find
from local.gateway.tokens import InvalidToken, TokenKey

MAX_BODY: Final = 10 * 1024 * 1024
MAX_HEADERS: Final = 10_240
# What is read of a body that is too long, so that its sender gets to see the refusal, in bytes and seconds.
_DRAINED: Final = 2 * MAX_BODY
_DRAIN_S: Final = 5.0
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")

_REFUSALS: Final[Mapping[Status, HTTPStatus]] = {
    "failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "timed_out": HTTPStatus.SERVICE_UNAVAILABLE,
    "died": HTTPStatus.SERVICE_UNAVAILABLE,
    "throttled": HTTPStatus.SERVICE_UNAVAILABLE,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class _Disconnected(Exception):
    """The client is gone before its request was complete."""


class _TooLong(Exception):
    """The body is longer than API Gateway takes."""


class GatewayApp:
    """ASGI. The pool must be running."""

    def __init__(self, pool: Pool, key: TokenKey) -> None:
        self._pool = pool
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(scope, receive)
        except _TooLong:
            await _refuse_body(receive, send)
        except _Disconnected:
            return
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = Headers(scope=scope)
        if _size(scope) > MAX_HEADERS:
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not _HOST.fullmatch(",".join(headers.getlist("host"))):
            return _refusal(HTTPStatus.BAD_REQUEST)
        route, parameters = find(scope["method"], scope["path"])
        claims = None
        if route.authorised:
            try:
                claims = self._authorise(headers)
            except InvalidToken:
                return _refusal(HTTPStatus.UNAUTHORIZED, {"www-authenticate": "Bearer"})
        body = await _read_body(headers, receive)
        return await self._invoke(route, build_event(scope, body, route, parameters, claims, str(uuid4())))

    async def _invoke(self, route: Route, event: Mapping[str, Any]) -> Response:
        result: InvocationResult = await self._pool.invoke(route.function, event)
        if result.status != "succeeded":
            return _refusal(_REFUSALS[result.status])
        try:
            return build_response(result.payload)
        except InvalidResponse:
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _authorise(self, headers: Headers) -> dict[str, Any]:
        """The claims of the one bearer token that the request carries. Raises InvalidToken."""
        values = headers.getlist("authorization")
        if len(values) != 1:
            raise InvalidToken("one Authorization header is needed")
        scheme, _, token = values[0].partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken("not a bearer token")
        return self._key.verify(token)


def _refusal(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    """What the gateway itself answers, in API Gateway's words."""
    message = "Request Too Long" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else status.phrase
    return JSONResponse({"message": message}, status, headers)


def _size(scope: Scope) -> int:
    """The request line and all headers, in bytes, as API Gateway's quota counts them."""
    line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in scope["headers"])


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body. Raises _TooLong as soon as that is known, and _Disconnected."""
    if int(headers.get("content-length", "0")) > MAX_BODY:
        raise _TooLong
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _TooLong
        if not message.get("more_body"):
            return bytes(body)


async def _refuse_body(receive: Receive, send: Send) -> None:
    """Answer 413 at once, then read on for a while: closing on a client that is still sending would reset the
    connection, and might cost it the answer."""
    refusal = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"connection": "close"})
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": refusal.raw_headers})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
    drained, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while more and drained < _DRAINED:
                message = await receive()
                drained += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body"})
