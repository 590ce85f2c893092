"""Write a streamed response to Lambda's Runtime API, piece by piece, with the standard library alone.

The body is always read to its end, because its turn continues after the reader is gone.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import Final

from functions.stream import Stream

# In seconds. A write that blocks for longer ends the writing.
STALL_S: Final = 10.0
# The timeout applies to each slice of this many bytes, so a large piece may take longer than a small one.
_SLICE: Final = 64 * 1024
_RESPONSE: Final = "/2018-06-01/runtime/invocation/{id}/response"
_ERROR_TYPE: Final = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY: Final = "Lambda-Runtime-Function-Error-Body"
_HEADERS: Final = {
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": f"{_ERROR_TYPE}, {_ERROR_BODY}",
    "Connection": "close",
}
_LAST_CHUNK: Final = b"0\r\n"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def send(stream: Stream, address: str, invocation_id: str, headers: Mapping[str, str] = _NONE) -> bool:
    """Answer an invocation with `stream`, and close its body.

    Args:
        address: AWS_LAMBDA_RUNTIME_API, `host:port` or `host:port/prefix`.
        headers: Further headers for the Runtime API.

    Returns whether the Runtime API took the whole response. Raises the exception of the body, after it was reported to
    the Runtime API.
    """
    writer = _Writer(address, invocation_id, {**_HEADERS, **headers})
    with closing(_Pieces(stream.body)) as pieces, closing(writer):
        writer.write(_prelude(stream))
        try:
            for piece in pieces:
                writer.write(piece)
        except Exception as error:
            writer.end(_trailers(error))
            raise
        return writer.end()


class _Pieces:
    """The body of a stream. `close` closes a generator, and does nothing for other iterators."""

    def __init__(self, body: Iterator[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return self._body

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _Writer:
    """A chunked request that writes nothing more after its first error."""

    def __init__(self, address: str, invocation_id: str, headers: Mapping[str, str]) -> None:
        host, _, prefix = address.partition("/")
        # HTTPConnection sets TCP_NODELAY.
        self._connection = HTTPConnection(host, timeout=STALL_S)
        self._failed = False
        path = f"{'/' if prefix else ''}{prefix}{_RESPONSE.format(id=invocation_id)}"
        try:
            self._connection.putrequest("POST", path, skip_accept_encoding=True)
            for name, value in headers.items():
                self._connection.putheader(name, value)
            self._connection.endheaders()
        except (OSError, HTTPException):
            self._fail()

    def write(self, piece: bytes) -> None:
        # An empty chunk would end the response.
        if piece:
            self._send(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self, trailers: bytes = b"") -> bool:
        """Write the last chunk. Return whether the Runtime API took everything."""
        self._send(_LAST_CHUNK + trailers + b"\r\n")
        if self._failed:
            return False
        try:
            return self._connection.getresponse().status < 300
        except (OSError, HTTPException):
            return False

    def close(self) -> None:
        with suppress(OSError):
            self._connection.close()

    def _send(self, data: bytes) -> None:
        if self._failed:
            return
        try:
            for part in _slices(data):
                self._connection.send(part)
        except OSError:
            self._fail()

    def _fail(self) -> None:
        """Close the connection at once, so that the reader sees an incomplete response."""
        self._failed = True
        self.close()


def _slices(data: bytes) -> Iterable[memoryview]:
    view = memoryview(data)
    return (view[start : start + _SLICE] for start in range(0, len(view), _SLICE))


def _prelude(stream: Stream) -> bytes:
    """Return status and headers in the form that API Gateway reads before a streamed body, without a length."""
    headers = {name: value for name, value in stream.headers.items() if name.lower() != "content-length"}
    told = {"statusCode": stream.status, "headers": headers, "cookies": list(stream.cookies)}
    return json.dumps(told, separators=(",", ":")).encode() + bytes(8)


def _trailers(error: Exception) -> bytes:
    """Return trailers with the type of the error. Its text may quote a client or a model."""
    kind = type(error).__name__
    told = {"errorType": kind, "errorMessage": "The response ended early.", "stackTrace": []}
    body = base64.b64encode(json.dumps(told).encode()).decode()
    return f"{_ERROR_TYPE}: {kind}\r\n{_ERROR_BODY}: {body}\r\n".encode()
