"""One POST, sent once, within one wall clock.

The caller learns whether anything was sent. Nothing is retried, and no redirect is followed. The clock runs from the
name look-up to the answer's last byte. Timeouts of client libraries start anew with every read, so each exchange is a
task that a deadline cancels. The task has ended before its outcome is told, so nothing can leave after `NotSent`.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx
from httpcore import LocalProtocolError

from shared.llm.body import MAX_BODY_BYTES

# The status of an error has said the most. Its body explains, so little of it is read, and not for long.
MAX_REFUSAL_BYTES: Final = 64 * 1024
REFUSAL_S: Final = 1.0
# Long enough for the calls of one turn to share a connection, shorter than servers keep an idle one: one that
# is closed just as it is used again costs an unknown outcome.
KEEPALIVE_S: Final = 2.0
# What connecting, and then the TLS handshake, may take of the time left. A handshake that times out closes
# its socket; one that the deadline cancels leaves it to the garbage collector.
CONNECT_SHARE: Final = 0.5


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
    """An HTTP client, and the event loop in a daemon thread that it lives on from the first request to `close`."""

    def __init__(self, *, trust_env: bool) -> None:
        """With `trust_env`, the environment can set a proxy and certificates. Raises the client's exception if it
        cannot use them."""
        # Its line for every request has the whole URL: a password in it, and the query.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.trust_env = trust_env
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"},
            # A cookie would join the calls of tenants, and cookies that grow would have every later call refused.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            trust_env=trust_env,
        )
        self._pid: int | None = None

    @property
    def started(self) -> bool:
        """Whether the thread was started, in this process or in one that it was forked from."""
        return self._pid is not None

    @property
    def is_of_another_process(self) -> bool:
        """Whether the thread is that of a parent. A fork takes no threads along: a child would wait for ever."""
        return self._pid not in (None, os.getpid())

    def start(self) -> None:
        """Start the thread. It is not started with the client, so that a process can be forked before its first
        request."""
        self._closing = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._serve, name="llm-wire", daemon=True)
        self._thread.start()
        self._pid = os.getpid()

    def post(
        self,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes,
        deadline: float,
        on_chunk: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """Block until `deadline`, by `time.monotonic()`, at the latest. Safe from any thread but its own. `on_chunk`
        takes the body of a 200 as it comes; `Answer.body` is then empty.

        Raises NotSent if no byte of the request was sent, whatever the reason. Once the request was, or may have been,
        sent: TimeoutError when the deadline passed, and otherwise the client's own exception.
        """
        sending = _Sending()
        exchange = self._exchange(url, headers, content, deadline, sending, on_chunk)
        try:
            running = asyncio.run_coroutine_threadsafe(exchange, self._loop)
        except RuntimeError as error:
            # The loop has been closed.
            exchange.close()
            raise NotSent(type(error).__name__) from error
        try:
            return running.result()
        except Exception as error:
            if sending.began:
                raise
            raise NotSent(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections and end the thread. Exchanges in flight are broken off."""
        if self.started and not self.is_of_another_process:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._runner.run(self._until_closing())

    async def _until_closing(self) -> None:
        async with self._client:
            await self._closing.wait()

    async def _exchange(
        self,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes,
        deadline: float,
        sending: "_Sending",
        on_chunk: Callable[[bytes], None] | None,
    ) -> Answer:
        connect_s = (deadline - time.monotonic()) * CONNECT_SHARE
        told: Answer | None = None
        try:
            post = self._client.stream(
                "POST",
                url,
                content=content,
                headers=headers,
                timeout=httpx.Timeout(None, connect=connect_s),
                extensions={"trace": sending.trace},
            )
            async with asyncio.timeout_at(deadline):
                await self._drop_surplus()
                async with post as response:
                    if response.status_code == 200:
                        return Answer(200, response.headers, await _bounded_body(response, on_chunk))
                    told = Answer(response.status_code, response.headers)
                    return replace(told, body=await _explanation(response))
        except Exception:
            # Whatever happens to the rest of it, a status that came stands.
            if told is not None:
                return told
            raise

    async def _drop_surplus(self) -> None:
        """Close idle connections on which more than one answer came. httpx would take the rest for the next one."""
        for transport in (self._client._transport, *self._client._mounts.values()):
            for connection in (
                list(transport._pool.connections) if isinstance(transport, httpx.AsyncHTTPTransport) else ()
            ):
                if connection.is_idle() and _surplus(connection):
                    await connection.aclose()


class _Sending:
    """Whether the request itself, or a part of it, may have left."""

    def __init__(self) -> None:
        self.began = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event of httpcore."""
        if event.endswith("send_request_headers.started"):
            # Before it there may be a CONNECT, which a proxy answers. It has nothing of the request's body.
            self.began = self.began or info["request"].method != b"CONNECT"
        elif event.endswith("send_request_headers.failed") and isinstance(info["exception"], LocalProtocolError):
            # The headers could not be written down, so they were not sent.
            self.began = False


def _surplus(connection: object) -> bytes:
    """The bytes that were read from a connection and belong to no answer yet."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    state: Any = getattr(connection, "_h11_state", None)
    surplus: bytes = b"" if state is None else state.trailing_data[0]
    return surplus


async def _bounded_body(response: httpx.Response, on_chunk: Callable[[bytes], None] | None) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        if on_chunk is not None:
            # The taker keeps what it needs. A stream of a long answer has more bytes than a body may have.
            on_chunk(chunk)
            continue
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return b""
    return bytes(body)


async def _explanation(response: httpx.Response) -> bytes:
    """The beginning of an error's body, read for a bounded time."""
    body = bytearray()
    if response.status_code >= 400:
        with suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(REFUSAL_S):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_REFUSAL_BYTES:
                        break
    return bytes(body[:MAX_REFUSAL_BYTES])
