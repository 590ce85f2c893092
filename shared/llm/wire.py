"""Send one POST once, within one time limit.

The caller learns whether anything was sent. Nothing is retried, and no redirect is followed. The clock runs from the
name look-up to the answer's last byte. Everything happens in the caller's thread, so nothing can be sent after
`NotSent`.
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

# The most bytes and seconds for the body of an error, because its status says the most.
MAX_REFUSAL_BYTES: Final = 64 * 1024
REFUSAL_S: Final = 1.0
# Seconds to wait for the body's end after a complete answer. Some servers keep the connection open, or break it.
END_S: Final = 1.0
# Seconds. Long enough for the calls of one turn to share a connection, and shorter than servers keep an idle one. A
# connection that is closed when it is used again costs an unknown outcome.
KEEPALIVE_S: Final = 2.0


class NotSent(Exception):
    """No byte of the request was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is in the encoding of the headers. For a 200 it is complete, or empty if it was longer than
    MAX_BODY_BYTES. For 4xx and 5xx it is the part within MAX_REFUSAL_BYTES and REFUSAL_S. For other statuses it is
    empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Wire:
    """A blocking HTTP client that reuses connections. Safe from any number of threads."""

    def __init__(self, *, trust_env: bool) -> None:
        """With `trust_env`, the environment can set a proxy and certificates. Raises the client's exception if it
        cannot use them."""
        self.trust_env = trust_env
        # It only chooses proxies, certificates and headers. It never sends, so it follows no redirect and keeps no
        # cookie.
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
        """Whether the connections are a parent's. Two processes would read each other's answers."""
        return self._pid not in (None, os.getpid())

    def start(self) -> None:
        """Let this process make connections. Before, the process may still be forked."""
        self._pid = os.getpid()

    def post(
        self,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes,
        deadline: float,
        on_chunk: Callable[[bytes], bool | None] | None = None,
    ) -> Answer:
        """Send the request, and block until `deadline` (`time.monotonic()`) at the latest.

        `on_chunk` takes the body of a 200 as it comes; `Answer.body` is then empty. It returns True once the answer is
        complete. Then the body has END_S to end, and may end in any way.

        Raises NotSent if no byte was sent, for any reason. If the request may have been sent, raises TimeoutError after
        the deadline, and otherwise the client's own exception."""
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
        """Close the connections. Exchanges in flight are interrupted."""
        if self.is_of_another_process:
            return
        self._sockets.close()
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _request(self, url: httpx.URL, headers: Mapping[str, str], content: bytes) -> httpcore.Request:
        # By name in lower case, so that a header of the caller replaces one of these.
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
        """Keep the connection for the next request, unless more than its answer came, which would be taken for the next
        one."""
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
    """Return the bytes that were read from a connection and belong to no answer yet."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    state: Any = getattr(connection, "_h11_state", None)
    surplus: bytes = b"" if state is None else state.trailing_data[0]
    return surplus


def _tell(response: httpcore.Response, clock: Clock, on_chunk: Callable[[bytes], bool | None]) -> None:
    """Pass on the body as it comes. The receiver keeps what it needs: a long answer's stream has more bytes than a body
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
    """Return the beginning of an error's body, read for a bounded time."""
    body = bytearray()
    if response.status >= 400:
        clock.until = min(clock.deadline, time.monotonic() + REFUSAL_S)
        # A failure while reading does not change the status.
        with suppress(Exception):
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > MAX_REFUSAL_BYTES:
                    break
    return bytes(body[:MAX_REFUSAL_BYTES])
