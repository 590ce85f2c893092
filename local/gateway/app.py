"""Serve the gateway as an ASGI app: route, authorize, build the event, invoke, answer.

It refuses the same requests as API Gateway, with the same status and body, before it invokes a function.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.gateway.authorizer import Authorizer, AuthorizerFailure, Refused
from local.gateway.compression import compress
from local.gateway.event import InvalidResponse, build_event, build_response, path_of
from local.gateway.hosts import Hosts, split
from local.gateway.pool import InvocationResult, Pool, Status
from local.gateway.routes import find
from local.gateway.streaming import pass_on
from shared.names import CORS_REQUEST_HEADERS, CORS_RESPONSE_HEADERS, Route

MAX_BODY: Final = 10 * 1024 * 1024
MAX_HEADERS: Final = 10_240
# Seconds that API Gateway waits for a buffered and for a streamed answer.
BUFFERED_S: Final = 29.0
STREAMED_S: Final = 900.0
# The most bytes and seconds that the gateway reads of a body that is too long, so that its sender gets the refusal.
_DRAINED: Final = 2 * MAX_BODY
_DRAIN_S: Final = 5.0
_RETRY_AFTER_S: Final = 5
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_REFUSALS: Final[Mapping[Status, HTTPStatus]] = {
    "failed": HTTPStatus.BAD_GATEWAY,
    "timed_out": HTTPStatus.BAD_GATEWAY,
    "died": HTTPStatus.BAD_GATEWAY,
    "throttled": HTTPStatus.INTERNAL_SERVER_ERROR,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
# API Gateway's messages that differ from HTTP's phrases.
_MESSAGES: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Too Long",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal server error",
    HTTPStatus.BAD_GATEWAY: "Internal server error",
    HTTPStatus.GATEWAY_TIMEOUT: "Endpoint request timed out",
}

logger = logging.getLogger(__name__)


class _Disconnected(Exception):
    """The client disconnected before its request was complete."""


class _TooLong(Exception):
    """The body exceeds API Gateway's limit."""


class GatewayApp:
    """The ASGI app. The pool must be running."""

    def __init__(self, pool: Pool, hosts: Hosts, origins: str | None, *, buffered_s: float = BUFFERED_S) -> None:
        """`hosts` are the names that the gateway serves. `origins` is a regular expression of the origins whose pages
        may read answers. `buffered_s` is how long the gateway waits for a buffered answer, in seconds."""
        self._pool = pool
        self._hosts = hosts
        self._authorizer = Authorizer(pool)
        self._cors = CORSMiddleware(
            self, allow_origin_regex=origins, allow_methods=_METHODS, allow_headers=CORS_REQUEST_HEADERS
        )
        exposed = {
            "access-control-allow-origin": "*",
            "access-control-expose-headers": ", ".join(CORS_RESPONSE_HEADERS),
        }
        self._exposed = exposed if origins else {}
        self._buffered_s = buffered_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(scope, receive)
        except _TooLong:
            refusal = self._refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"connection": "close"})
            await _refuse_body(refusal, receive, send)
        except _Disconnected:
            return
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        headers = Headers(scope=scope)
        if _size(scope) > MAX_HEADERS:
            return self._refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        host = ",".join(headers.getlist("host"))
        if split(host) is None:
            return self._refusal(HTTPStatus.BAD_REQUEST)
        if not self._hosts.serves(host):
            return self._refusal(HTTPStatus.MISDIRECTED_REQUEST, message=self._hosts.advice)
        preflighted = _preflighted(scope, headers)
        found = find(preflighted or scope["method"], path_of(scope))
        if found is None:
            return self._refusal(HTTPStatus.NOT_FOUND)
        if preflighted:
            return self._cors.preflight_response(headers)
        route, parameters = found
        return await self._authorize_and_invoke(scope, receive, route, parameters)

    async def _authorize_and_invoke(
        self, scope: Scope, receive: Receive, route: Route, parameters: Mapping[str, str]
    ) -> ASGIApp:
        headers, request_id, caller = Headers(scope=scope), str(uuid4()), None
        if not route.is_open:
            try:
                event = build_event(scope, b"", route, parameters, None, request_id)
                caller = await self._authorizer.authorize(_credential(headers), event)
            except Refused as refused:
                answer = {"www-authenticate": refused.challenge}
                return self._refusal(HTTPStatus.UNAUTHORIZED, answer, refused.message)
            except AuthorizerFailure as failure:
                logger.warning("%s", failure)
                return self._refusal(HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": str(_RETRY_AFTER_S)})
        body = await _read_body(headers, receive)
        event = build_event(scope, body, route, parameters, caller, request_id)
        if route.is_streamed:
            return partial(self._stream, route, event)
        response = await self._invoke(route, event)
        await compress(response, headers)
        return response

    async def _invoke(self, route: Route, event: Mapping[str, Any]) -> Response:
        try:
            # On AWS, Lambda continues after API Gateway's timeout. Here the timeout also ends the process.
            async with asyncio.timeout(self._buffered_s):
                result = await self._pool.invoke(route.function, event)
        except TimeoutError:
            return self._refusal(HTTPStatus.GATEWAY_TIMEOUT)
        return self._response(result)

    async def _stream(self, route: Route, event: Mapping[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer while the function writes it."""
        deadline = asyncio.get_running_loop().time() + STREAMED_S
        try:
            async with asyncio.timeout_at(deadline):
                result = await self._pool.open(route.function, event)
            if result.stream is not None:
                await pass_on(result.stream, send, deadline)
                return
            response = self._response(result)
        except TimeoutError:
            response = self._refusal(HTTPStatus.GATEWAY_TIMEOUT)
        except InvalidResponse:
            response = self._refusal(HTTPStatus.BAD_GATEWAY)
        await response(scope, receive, send)

    def _response(self, result: InvocationResult) -> Response:
        if result.status != "succeeded":
            return self._refusal(_REFUSALS[result.status])
        try:
            return build_response(result.payload)
        except InvalidResponse:
            return self._refusal(HTTPStatus.BAD_GATEWAY)

    def _refusal(
        self, status: HTTPStatus, headers: Mapping[str, str] | None = None, message: str | None = None
    ) -> Response:
        """Return the gateway's own answer, with API Gateway's message."""
        message = message or _MESSAGES.get(status, status.phrase)
        return JSONResponse({"message": message}, status, {**self._exposed, **(headers or {})})


def _preflighted(scope: Scope, headers: Headers) -> str | None:
    """Return the method for which a CORS preflight asks, None for other requests."""
    is_asking = scope["method"] == "OPTIONS" and "origin" in headers
    return headers.get("access-control-request-method") if is_asking else None


def _credential(headers: Headers) -> str:
    """Return the value of the only Authorization header. Raises Refused."""
    values = headers.getlist("authorization")
    if len(values) != 1 or not values[0].strip():
        raise Refused
    return values[0]


def _size(scope: Scope) -> int:
    """Return the bytes of the request line and all headers, as API Gateway's quota counts them."""
    line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in scope["headers"])


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """Read the body. Raises _TooLong once it exceeds the limit, and _Disconnected."""
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


async def _refuse_body(refusal: Response, receive: Receive, send: Send) -> None:
    """Answer, then read a part of the rest.

    Closing while the client still sends would reset the connection, and the client could lose the answer."""
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
