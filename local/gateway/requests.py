"""Read the heads and bodies of HTTP/1.1 requests from a connection, for the Runtime API."""

from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# A piece has at most this many bytes, so that memory stays bounded.
PIECE: Final = 64 * 1024


class Malformed(Exception):
    """The connection does not carry HTTP/1.1, or it ended during a request."""


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and headers. Names of `headers` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


class Body:
    """The body of one request. `trailers` are set at its end. Their names are in lower case."""

    def __init__(self, reader: StreamReader, head: Head) -> None:
        self.trailers: Mapping[str, str] = {}
        self._reader = reader
        self._is_chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        # The unread bytes of the body, or of the current chunk.
        self._left = 0 if self._is_chunked else _length(head)
        self._in_chunk = self._ended = False

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises Malformed."""
        try:
            if self._is_chunked and not self._left and not self._ended:
                await self._begin_chunk()
            if not self._left:
                return b""
            piece = await self._reader.read(min(self._left, PIECE))
        except (IncompleteReadError, LimitOverrunError, ConnectionError) as error:
            raise Malformed from error
        if not piece:
            raise Malformed
        self._left -= len(piece)
        return piece

    async def _begin_chunk(self) -> None:
        # Read the line after a chunk only now, so that the chunk did not wait for it.
        if self._in_chunk and await self._reader.readexactly(2) != b"\r\n":
            raise Malformed
        line = await self._reader.readuntil(b"\r\n")
        self._left = _number(line.partition(b";")[0].strip(), 16)
        self._in_chunk = True
        if not self._left:
            self._ended = True
            lines = []
            while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
                lines.append(line.decode("latin-1"))
            self.trailers = _fields(lines)


async def read_head(reader: StreamReader) -> Head | None:
    """Return the head of the next request, None at the end of the connection. Raises Malformed."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except IncompleteReadError as error:
        if error.partial:
            raise Malformed from error
        return None
    except (LimitOverrunError, ConnectionError) as error:
        raise Malformed from error
    line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    match line.split(" "):
        case [method, target, "HTTP/1.1"]:
            return Head(method, target, _fields(lines))
    raise Malformed


def _fields(lines: list[str]) -> dict[str, str]:
    fields = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in fields}


def _length(head: Head) -> int:
    return _number(head.headers.get("content-length", "0").encode(), 10)


def _number(digits: bytes, base: int) -> int:
    try:
        number = int(digits, base)
    except ValueError as error:
        raise Malformed from error
    if number < 0:
        raise Malformed
    return number
