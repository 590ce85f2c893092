"""The route POST /mcp: Model Context Protocol over streamable HTTP, without sessions.

A slow call is answered with events if the client takes them. Every other answer is JSON.
"""

import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import chain
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from functions.accept import accepts
from functions.requests import CurrentCaller
from functions.server_sent_events import COMMENT, HEADERS, MEDIA_TYPE
from functions.strict_route import StrictRoute
from functions.turns.mcp_messages import (
    INVALID_REQUEST,
    Call,
    Message,
    RpcError,
    error_message,
    read_batch,
    read_call,
    read_json,
    written,
)
from functions.turns.mcp_methods import Exchange
from functions.turns.mcp_tools import ASK
from functions.turns.mcp_versions import status_of, takes_batches, version_of
from functions.turns.running import seconds_left
from shared.db.engine import database
from shared.domain.origins import origin_pattern
from shared.llm.providers import provider
from shared.settings import http_settings
from shared.turns.run import Runner

router = APIRouter(route_class=StrictRoute)

_JSON: Final = "application/json"
_EVENT_EXAMPLE: Final = 'event: message\ndata: {"jsonrpc": "2.0", "id": 1, "result": {}}\n\n'
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Messages of JSON-RPC.",
        "content": {
            _JSON: {"schema": {}, "example": {"jsonrpc": "2.0", "id": 1, "result": {}}},
            MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EVENT_EXAMPLE},
        },
    },
    202: {"description": "The message has no answer."},
    **{status: {"content": {_JSON: {"schema": {"type": "object"}}}} for status in (400, 403, 404, 406, 415)},
}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "A message of JSON-RPC.",
        "content": {_JSON: {"schema": {}, "example": {"jsonrpc": "2.0", "id": 1, "method": "ping"}}},
    }
}


@router.post("/mcp", tags=["MCP"], response_class=Response, responses=_ANSWERS, openapi_extra=_BODY)
async def post_mcp_message(request: Request, caller: CurrentCaller) -> Response:
    """Send a message of the Model Context Protocol. The tools are `list_councils` and `ask_council`."""
    accepted = request.headers.get("accept", "")
    refused = _refused(request.headers, accepted)
    if refused is not None:
        return refused
    try:
        version = version_of(request.headers)
        sent = read_json(await request.body())
        messages = _messages(sent, version)
    except RpcError as error:
        return _json(error_message(error), 400)
    calls = [message for message in messages if message is not None]
    if not calls:
        return Response(status_code=202)
    streams = accepts(MEDIA_TYPE, accepted) and (any(map(_is_slow, calls)) or not accepts(_JSON, accepted))
    runner = Runner(database(), provider(), seconds_left(request))
    exchange = Exchange(request.scope, caller, runner, version, request.headers, tells=streams)
    answers = _answers(exchange, calls)
    first, is_batch = next(answers), isinstance(sent, list)
    if streams and not _is_all(first, accepted, is_batch=is_batch):
        return _MessageStream(first, answers)
    told = [answer for answer in (first, *answers) if answer is not None]
    return _json(told, 200) if is_batch else _json(told[0], status_of(version, told[0]))


def _refused(headers: Mapping[str, str], accepted: str) -> Response | None:
    """Return the refusal of a request whose headers MCP does not allow, or None."""
    # MCP requires this check. Otherwise a page of another origin could use a stolen token.
    origin, allowed = headers.get("origin"), origin_pattern(http_settings().cors_origins)
    if origin is not None and not (allowed and re.fullmatch(allowed, origin)):
        return _json(error_message(RpcError(INVALID_REQUEST, "Pages of this origin may not call Pantheon.")), 403)
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        return _json(error_message(RpcError(INVALID_REQUEST, f"The body must be {_JSON}.")), 415)
    if not accepts(_JSON, accepted) and not accepts(MEDIA_TYPE, accepted):
        return _json(error_message(RpcError(INVALID_REQUEST, f"Accept must have {_JSON} or {MEDIA_TYPE}.")), 406)
    return None


def _messages(sent: object, version: str) -> Iterable[Call | RpcError | None]:
    """Read the message or the batch. Raises RpcError."""
    if not isinstance(sent, list):
        return [read_call(sent)]
    if not takes_batches(version):
        raise RpcError(INVALID_REQUEST, f"The version {version} of MCP has no batches.")
    return read_batch(sent)


def _is_slow(call: Call | RpcError) -> bool:
    if isinstance(call, RpcError) or call.method != "tools/call" or not isinstance(call.params, Mapping):
        return False
    return call.params.get("name") == ASK


def _is_all(first: Message | None, accepted: str, *, is_batch: bool) -> bool:
    """Return whether the first message is the whole answer. Then a refusal keeps its HTTP status."""
    is_last = not is_batch and first is not None and "method" not in first
    return is_last and accepts(_JSON, accepted)


def _answers(exchange: Exchange, calls: Iterable[Call | RpcError]) -> Generator[Message | None, None, None]:
    """Yield the messages that answer the calls, one call after the other. None is a comment."""
    for call in calls:
        if isinstance(call, RpcError):
            yield error_message(call)
        else:
            yield from exchange.answer(call)


def _json(message: object, status: int) -> Response:
    return Response(written(message), status, {"Cache-Control": "no-store"}, _JSON)


class _MessageStream(Response):
    """A stream of messages as events. Its turns run to their end after the client disconnects."""

    media_type = MEDIA_TYPE

    def __init__(self, first: Message | None, rest: Generator[Message | None, None, None]) -> None:
        self.status_code, self.background = 200, None
        # A stream has no Content-Length.
        self.init_headers(dict(HEADERS))
        self._first, self._rest = first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        with closing(self._rest):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for message in chain([self._first], self._rest):
                await send({"type": "http.response.body", "body": _event(message), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(message: Message | None) -> bytes:
    return COMMENT if message is None else b"event: message\ndata: " + written(message) + b"\n\n"
