"""Bridge an ASGI application to a handler's answer: the dict of a complete response, or a Stream.

The application runs on the reader's thread, and only while the reader waits for the next message. So a message reaches
the reader before the application does anything further.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from mangum.handlers import APIGateway, HTTPGateway
from mangum.types import LambdaConfig, Response
from starlette.types import ASGIApp, Message

from functions.stream import Stream
from shared import telemetry

logger = logging.getLogger(__name__)

_FAILED: Final[Response] = {
    "status": 500,
    "headers": [[b"content-type", b"text/plain; charset=utf-8"]],
    "body": b"Internal Server Error",
}


class BrokenResponse(Exception):
    """The application sent a message out of order, or ended before its response was complete."""


def answer(app: ASGIApp, event: dict[str, Any], context: Any, text_types: Sequence[str]) -> dict[str, Any] | Stream:
    """Run `app` for an event of API Gateway, up to the first piece of its body.

    Returns a Stream if more pieces follow; reading its body continues `app`. Otherwise returns a dict, in which bodies
    of `text_types` are text and others are base64.
    """
    config = LambdaConfig(api_gateway_base_path="/", text_mime_types=[*text_types], exclude_headers=[])
    # Pantheon has no gateway of payload format 2.0. The application refuses such events.
    kind = HTTPGateway if event.get("version") == "2.0" else APIGateway
    gateway = kind(event, context, config)
    request = _Request(app, gateway)
    first = request.next_piece()
    if first is not None:
        headers, cookies = _headers(request.headers)
        return Stream(request.status, headers, _Body(request, first), cookies)
    if request.failure():
        request.log_failure()
    if not request.is_complete:
        request.count_failure()
        return gateway(_FAILED)
    return gateway({"status": request.status, "headers": request.headers, "body": request.body})


class _Request:
    """One request to the application. It has pieces if the body comes in more than one message."""

    def __init__(self, app: ASGIApp, gateway: APIGateway | HTTPGateway) -> None:
        self.status = 0
        self.headers: list[list[bytes]] = []
        self.body = b""
        self.is_complete = False
        self._has_started = self._is_streamed = self._is_closed = False
        self._request: Message | None = {"type": "http.request", "body": gateway.body, "more_body": False}
        self._loop = _loop()
        self._pieces = deque[tuple[bytes, asyncio.Future[None]]]()
        self._taken: asyncio.Future[None] | None = None
        self._completed = asyncio.Event()
        self._task = self._loop.create_task(self._run(app, gateway))
        self._task.add_done_callback(lambda _: self._loop.stop())

    def next_piece(self) -> bytes | None:
        """Run the application until it sends a piece. Return None when it has ended."""
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
        # Something else may have stopped the loop.
        while not self._pieces and not self._task.done():
            self._loop.run_forever()
        if not self._pieces:
            return None
        piece, self._taken = self._pieces.popleft()
        return piece

    def close(self) -> None:
        """Cancel the application, and return when it has ended."""
        self._is_closed = True
        self._task.cancel()
        while not self._task.done():
            self._loop.run_forever()
        if not self._task.cancelled():
            # Read it, so that asyncio does not report it later.
            self._task.exception()

    def failure(self) -> BaseException | None:
        """Return the error that ended the application, or None after a complete response."""
        if self._task.cancelled():
            return BrokenResponse("The application was cancelled.")
        if error := self._task.exception():
            return error
        return None if self.is_complete else BrokenResponse("The application ended before its response.")

    def log_failure(self) -> None:
        """Log the type of the failure. Its text may quote a client or a model."""
        logger.error("application failed", extra={"error": type(self.failure()).__name__})

    def count_failure(self) -> None:
        """Count an incomplete response. The application counts its own exceptions."""
        if isinstance(self.failure(), BrokenResponse):
            telemetry.count_failure()

    async def _run(self, app: ASGIApp, gateway: APIGateway | HTTPGateway) -> None:
        await app(gateway.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if (request := self._request) is not None:
            self._request = None
            return request
        # The bridge is not told when a client disconnects.
        if not self.is_complete:
            await self._completed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._is_closed:
            raise OSError("Nobody reads the response any more.")
        if message["type"] == "http.response.start" and not self._has_started:
            self._has_started = True
            self.status, self.headers = message["status"], [[*pair] for pair in message.get("headers", ())]
        elif message["type"] == "http.response.body" and self._has_started and not self.is_complete:
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise BrokenResponse(f"Unexpected {message['type']}")

    async def _send_body(self, piece: bytes, *, more: bool) -> None:
        self._is_streamed = self._is_streamed or more
        if not more:
            self.is_complete = True
            self._completed.set()
        if not self._is_streamed:
            self.body = piece
            return
        taken = self._loop.create_future()
        self._pieces.append((piece, taken))
        self._loop.stop()
        await taken


class _Body:
    """The body of a Stream. Reading a piece continues the application. Closing the body cancels it."""

    def __init__(self, request: _Request, first: bytes) -> None:
        self._request = request
        self._first: bytes | None = first

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> bytes:
        piece, self._first = self._first, None
        if piece is None:
            piece = self._request.next_piece()
        if piece is not None:
            return piece
        if failure := self._request.failure():
            if not self._request.is_complete:
                self._request.count_failure()
                raise failure
            self._request.log_failure()
        raise StopIteration

    def close(self) -> None:
        self._request.close()


def _headers(raw: Sequence[Sequence[bytes]]) -> tuple[dict[str, str], list[str]]:
    """Return the headers, each name once, and the cookies."""
    headers, cookies = dict[str, str](), list[str]()
    for key, value in raw:
        name, text = key.decode().lower(), value.decode()
        if name == "set-cookie":
            cookies.append(text)
        else:
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers, cookies


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process. The first request makes it, so no fork or snapshot copies it."""
    return asyncio.new_event_loop()
