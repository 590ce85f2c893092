"""Extend uvicorn's HTTP protocol for streamed answers.

An incomplete answer does not look complete. HTTP/1.0 has no chunks, so the end of the connection ends the answer. A
client that closes only its own half of the connection still gets its answer.
"""

import socket
import struct
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# SO_LINGER of 0 seconds resets the connection.
_RESET: Final = struct.pack("ii", 1, 0)


class BrokenEnd(Exception):
    """The answer cannot be completed. An ASGI app raises this after its start."""


class HttpProtocol(HttpToolsProtocol):
    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn narrows asyncio's type
        """Keep the connection while a complete request is being answered."""
        # It is None before the first request, in contrast to uvicorn's annotation.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, partial(_run, app, cycle))


async def _run(app: ASGIApp, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send) -> None:
    has_chunks = scope["http_version"] == "1.1"
    try:
        await app(scope, receive, send if has_chunks else _until_closed(cycle))
    except BrokenEnd:
        if not has_chunks:
            # A close would look like the answer's end.
            connection: socket.socket = cycle.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        cycle.disconnected = True
        cycle.transport.close()


def _until_closed(cycle: RequestResponseCycle) -> Send:
    """Send an answer that ends with the connection."""
    # Otherwise uvicorn sends chunks, which the client cannot read. The length below passes uvicorn's check.
    cycle.keep_alive = cycle.chunked_encoding = False

    async def send(message: Message) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)  # type: ignore[arg-type]  # two names of ASGI's types

    return send
