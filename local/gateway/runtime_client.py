"""Call Lambda's Runtime API from a process, over one open connection, with the standard library only."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Final, Self

_PREFIX: Final = "2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Invocation:
    """An invocation. `event` is JSON. `deadline` is on the monotonic clock, in seconds."""

    id: str
    event: bytes
    deadline: float


class RuntimeClient:
    """The client, as a context manager. Each method raises ConnectionError after the end of the Runtime API."""

    def __init__(self, address: str) -> None:
        """`address` is `host:port/prefix`, as in AWS_LAMBDA_RUNTIME_API."""
        self.address: Final = address
        self._host, _, prefix = address.partition("/")
        self._base = f"/{prefix}/{_PREFIX}"

    def __enter__(self) -> Self:
        host, _, port = self._host.partition(":")
        self._socket = socket.create_connection((host, int(port)))
        # With Nagle's algorithm, an answer of several segments could take 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def next(self) -> Invocation:
        headers, event = self._ask("GET", "invocation/next", b"")
        left_s = int(headers[b"lambda-runtime-deadline-ms"]) / 1000 - time.time()
        return Invocation(headers[b"lambda-runtime-aws-request-id"].decode(), event, time.monotonic() + left_s)

    def answer(self, invocation_id: str, payload: bytes) -> None:
        """Answer an invocation. The API turns a payload that is too large into an error."""
        self._ask("POST", f"invocation/{invocation_id}/response", payload)

    def fail(self, invocation_id: str, error: Exception) -> None:
        """Answer an invocation with the error of its handler, unless it is answered already."""
        told = {"errorType": type(error).__name__, "errorMessage": str(error)}
        self._ask("POST", f"invocation/{invocation_id}/error", json.dumps(told).encode())

    def _ask(self, method: str, path: str, body: bytes) -> tuple[dict[bytes, bytes], bytes]:
        """Send a request. Return the headers of the answer, with names in lower case, and its body."""
        head = f"{method} {self._base}/{path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        headers = {}
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        length = int(headers.get(b"content-length", b"0"))
        body = self._stream.read(length)
        if not line or len(body) < length:
            raise ConnectionError(f"{self._host} has closed the connection.")
        return headers, body
