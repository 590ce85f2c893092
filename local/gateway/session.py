"""Track one process of the Runtime API: its invocation, and the answer to it."""

import asyncio
import secrets
import time
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from typing import Any, Final

from local.gateway.requests import Body, Malformed

# The most bytes of a streamed response. A buffered response has the limit of a payload.
MAX_STREAMED: Final = 200 * 1024 * 1024
_ERROR_TYPE: Final = "lambda-runtime-function-error-type"


class StreamBroken(Exception):
    """A streamed response ended too early."""


@dataclass(frozen=True, slots=True)
class Buffered:
    """A buffered response. `payload` is the handler's result or error as JSON."""

    succeeded: bool
    payload: bytes


class Streamed:
    """A response that the process still writes. Iterate over it once for the pieces of the body.

    `prelude` is its head, as the function wrote it. `was_read` gets whether the body was read to its end."""

    def __init__(self, prelude: Any, first: bytes, body: Body) -> None:
        self.prelude = prelude
        self.was_read: Final[asyncio.Future[bool]] = asyncio.get_running_loop().create_future()
        self._first = first
        self._body = body
        self._bytes = 0

    def __aiter__(self) -> "Streamed":
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises StreamBroken if the process ends early, the function reports an error, or the body is too large."""
        piece, self._first = self._first, b""
        try:
            piece = piece or await self._body.read()
        except Malformed as error:
            self._end(False)
            raise StreamBroken from error
        self._bytes += len(piece)
        if piece and self._bytes <= MAX_STREAMED:
            return piece
        self._end(not piece)
        if piece or _ERROR_TYPE in self._body.trailers:
            raise StreamBroken
        raise StopAsyncIteration

    def abandon(self) -> None:
        self._end(False)

    def _end(self, was_read: bool) -> None:
        if not self.was_read.done():
            self.was_read.set_result(was_read)


class Invocation:
    """One invocation.

    `answered` gets the answer, or None if the process ended without one. `over` gets whether the process can take
    another invocation."""

    def __init__(self, request_id: str, event: bytes, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.id: Final = request_id
        self.event: Final = event
        self.deadline_ms: Final = int((time.time() + timeout_s) * 1000)
        self.was_delivered = False
        self.answered: Final[asyncio.Future[Buffered | Streamed | None]] = loop.create_future()
        self.over: Final[asyncio.Future[bool]] = loop.create_future()

    def end(self, is_sound: bool) -> None:
        """End the invocation for its process. Without an answer it is lost."""
        if not self.over.done():
            self.over.set_result(is_sound and self.answered.done())
        if not self.answered.done():
            self.answered.set_result(None)


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    reader: StreamReader
    writer: StreamWriter

    @property
    def is_open(self) -> bool:
        return not self.reader.at_eof() and self.reader.exception() is None


class Session:
    """The session of one process.

    `secret` is the first segment of the process's paths. `asked` is set once the process asks for an invocation, which
    means that it is ready."""

    def __init__(self, function_arn: str) -> None:
        self.secret: Final = secrets.token_hex(16)
        self.function_arn: Final = function_arn
        self.asked: Final = asyncio.Event()
        self._connections: set[Connection] = set()
        self._invocation: Invocation | None = None
        # The connection that delivered the invocation. It stays open until the invocation is over.
        self._delivering: Connection | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_alive(self) -> bool:
        return any(connection.is_open for connection in self._connections)

    def begin(self, request_id: str, event: bytes, timeout_s: float) -> Invocation:
        """Give the process an invocation. Its last one must be over."""
        invocation = self._invocation = Invocation(request_id, event, timeout_s)
        if not self.is_alive:
            self._lose()
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        return invocation

    def owed(self, invocation_id: str) -> Invocation | None:
        """Return the unanswered invocation of the process, if it has this id."""
        invocation = self._invocation
        if invocation is None or invocation.id != invocation_id:
            return None
        return invocation if invocation.was_delivered and not invocation.answered.done() else None

    async def next(self, connection: Connection) -> Invocation:
        """Wait for the next invocation of the process, which ends the last one.

        Raises Malformed if the connection ends meanwhile."""
        if self._invocation is not None and self._invocation.was_delivered:
            self._invocation.end(is_sound=True)
            self._invocation = None
        self.asked.set()
        while self._invocation is None:
            # If another request waits, its client is gone.
            if self._waiting is not None:
                self._waiting.cancel()
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if not connection.is_open:
            self._lose()
            raise Malformed
        self._delivering = connection
        self._invocation.was_delivered = True
        return self._invocation

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """Forget a connection. The process is lost if it was the delivering or the only one."""
        self._connections.discard(connection)
        if connection is self._delivering or not self.is_alive:
            self._lose()

    def end(self) -> None:
        """Close every connection of the process."""
        self._lose()
        for connection in self._connections:
            connection.writer.close()

    def _lose(self) -> None:
        if self._invocation is not None:
            self._invocation.end(is_sound=False)
