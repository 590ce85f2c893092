"""One POST, sent once, within one wall clock.

The caller learns whether anything was sent. Nothing is retried, and no redirect is followed. The clock runs from the
name look-up to the answer's last byte. Everything happens in the caller's thread, so nothing can leave after `NotSent`.
"""

import os
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpcore
import httpx

from shared.llm.body import MAX_BODY_BYTES
from shared.llm.sockets import Clock, Sockets, keeping

# The status of an error has said the most. Its body explains, so little of it is read, and not for long.
MAX_REFUSAL_BYTES: Final = 64 * 1024
REFUSAL_S: Final = 1.0
# Some servers keep the connection open behind a complete answer, or break it off. Its end is awaited for so long.
END_S: Final = 1.0
# Long enough for the calls of one turn to share a connection, shorter than servers keep an idle one: one that
# is closed just as it is used again costs an unknown outcome.
KEEPALIVE_S: Final = 2.0


class NotSent(Exception):
    """Not one byte of the request has left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is as it came, in the encoding of the headers. It is read for a 200, and empty if it was longer than
    MAX_BODY_BYTES. Of a 4xx or 5xx it is the part that came within MAX_REFUSAL_BYTES and REFUSAL_S. For any other
    status it is empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Wire:
    """A blocking HTTP client with connections that are used again. Safe from any number of threads."""

    def __init__(self, *, trust_env: bool) -> None:
        """With `trust_env`, the environment can set a proxy and certificates. Raises the client's exception if it
        cannot use them."""
        self.trust_env = trust_env
        # It chooses proxies, certificates and headers. It never sends, so it follows no redirect and keeps no cookie.
        self._client = httpx.Client(
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            trust_env=trust_env,
        )
        self._defaults = {name.decode().lower(): (name, value) for name, value in self._client.headers.raw}
        self._sockets = Sockets()
        self._lock = threading.Lock()
        self._idle: list[httpcore.ConnectionInterface] = []
        self._pid: int | None = None

    @property
    def started(self) -> bool:
        """Whether it may have connections, of this process or of one that it was forked from."""
        return self._pid is not None

    @property
    def is_of_another_process(self) -> bool:
        """Whether the connections are those of a parent. Two processes would read each other's answers."""
        return self._pid not in (None, os.getpid())

    def start(self) -> None:
        """Let this process make connections. A process can be forked before its first request."""
        self._pid = os.getpid()

    def post(
        self,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes,
        deadline: float,
        on_chunk: Callable[[bytes], bool | None] | None = None,
    ) -> Answer:
        """Block until `deadline`, by `time.monotonic()`, at the latest. `on_chunk` takes the body of a 200 as it comes;
        `Answer.body` is then empty. `on_chunk` returns True once the answer is complete. From then on the body has
        END_S to end, and may end in any way.

        Raises NotSent if no byte of the request was sent, whatever the reason. Once the request was, or may have been,
        sent: TimeoutError when the deadline passed, and otherwise the client's own exception.
        """
        clock = Clock(deadline)
        try:
            with keeping(clock):
                request = self._request(url, headers, content)
                connection = self._connection(url, request.url.origin)
                try:
                    return _exchange(connection, request, clock, on_chunk)
                finally:
                    self._put_back(connection)
        except Exception as error:
            if not clock.began:
                raise NotSent(type(error).__name__) from error
            if isinstance(error, httpcore.TimeoutException):
                raise TimeoutError from error
            raise

    def close(self) -> None:
        """Close the connections. Exchanges in flight are broken off."""
        if self.is_of_another_process:
            return
        self._sockets.close()
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _request(self, url: httpx.URL, headers: Mapping[str, str], content: bytes) -> httpcore.Request:
        # By name in lower case: a header that the caller sets takes the place of one of these.
        written: dict[str, tuple[str | bytes, str | bytes]] = {
            "host": (b"Host", url.netloc),
            **self._defaults,
            "content-length": ("Content-Length", str(len(content))),
            **{name.lower(): (name, value) for name, value in headers.items()},
        }
        if url.userinfo:
            userinfo = f"{url.username}:{url.password}".encode()
            written["authorization"] = (b"Authorization", b"Basic " + b64encode(userinfo))
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        return httpcore.Request("POST", target, headers=list(written.values()), content=content)

    def _connection(self, url: httpx.URL, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """Take an idle connection, or make one that connects with its first request."""
        with self._lock:
            for connection in list(self._idle):
                if connection.has_expired():
                    self._idle.remove(connection)
                    connection.close()
            for connection in self._idle:
                if connection.can_handle_request(origin):
                    self._idle.remove(connection)
                    return connection
        pool: Any = self._client._transport_for_url(url)._pool  # type: ignore[attr-defined]
        pool._network_backend = self._sockets
        made: httpcore.ConnectionInterface = pool.create_connection(origin)
        return made

    def _put_back(self, connection: httpcore.ConnectionInterface) -> None:
        """Keep the connection for the next request, unless more came than its answer: that would be taken for the
        next one."""
        with self._lock:
            if connection.is_available() and not _surplus(connection) and not self._sockets.closed:
                self._idle.append(connection)
                return
        connection.close()


def _exchange(
    connection: httpcore.ConnectionInterface,
    request: httpcore.Request,
    clock: Clock,
    on_chunk: Callable[[bytes], bool | None] | None,
) -> Answer:
    response = connection.handle_request(request)
    try:
        headers = httpx.Headers(response.headers)
        if response.status == 200:
            if on_chunk is not None:
                _tell(response, clock, on_chunk)
                return Answer(200, headers)
            return Answer(200, headers, _bounded_body(response))
        return Answer(response.status, headers, _explanation(response, clock))
    finally:
        response.close()


def _surplus(connection: object) -> bytes:
    """The bytes that were read from a connection and belong to no answer yet."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    state: Any = getattr(connection, "_h11_state", None)
    surplus: bytes = b"" if state is None else state.trailing_data[0]
    return surplus


def _tell(response: httpcore.Response, clock: Clock, on_chunk: Callable[[bytes], bool | None]) -> None:
    """Tell the body as it comes. The taker keeps what it needs: a stream of a long answer has more bytes than a body
    may have."""
    is_complete = False
    try:
        for chunk in response.iter_stream():
            if on_chunk(chunk) and not is_complete:
                is_complete = True
                clock.until = min(clock.deadline, time.monotonic() + END_S)
    except Exception:
        if not is_complete:
            raise


def _bounded_body(response: httpcore.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return b""
    return bytes(body)


def _explanation(response: httpcore.Response, clock: Clock) -> bytes:
    """The beginning of an error's body, read for a bounded time."""
    body = bytearray()
    if response.status >= 400:
        clock.until = min(clock.deadline, time.monotonic() + REFUSAL_S)
        # Whatever happens to the rest of it, a status that came stands.
        with suppress(Exception):
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > MAX_REFUSAL_BYTES:
                    break
    return bytes(body[:MAX_REFUSAL_BYTES])
