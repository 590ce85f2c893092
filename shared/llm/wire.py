"""One POST, sent once, within one wall clock.

The rule this file protects: whoever calls knows whether anything was sent. Nothing is retried, no redirect
is followed, and the clock runs over everything from the name look-up to the answer's last byte. Timeouts of
client libraries run anew with every read, so each exchange is a task that a deadline cancels; and as the task
has ended before its outcome is told, nothing can leave after `NotSent`.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import httpx

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
# Of a refusal no more is read than it takes to say why, and not for long: its status has said the rest.
MAX_REFUSAL_BYTES: Final = 64 * 1024
REFUSAL_S: Final = 1.0
_EXPLAINED: Final = (400, 413)
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
    """`body` is read for a 200, and empty if it was longer than MAX_BODY_BYTES; of a 400 or 413 it is what came within
    MAX_REFUSAL_BYTES and REFUSAL_S; for any other status it is empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Wire:
    """An event loop in a daemon thread, and the HTTP client that lives on it for as long as the process."""

    def __init__(self, *, trust_env: bool) -> None:
        """`trust_env` lets the environment name a proxy and certificates."""
        # Its line for every request has the whole URL: a password in it, and the query.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.pid = os.getpid()
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            trust_env=trust_env,
        )
        self._closing = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._serve, name="llm-wire", daemon=True)
        self._thread.start()

    def post(self, url: httpx.URL, headers: Mapping[str, str], content: bytes, deadline: float) -> Answer:
        """Block until `deadline`, by `time.monotonic()`, at the latest. Safe from any thread but its own.

        Raises NotSent when the server could not be reached. Once the request was, or may have been, sent:
        TimeoutError when the deadline passed, httpx.TransportError when the connection broke.
        """
        exchange = self._exchange(url, headers, content, deadline)
        return asyncio.run_coroutine_threadsafe(exchange, self._loop).result()

    def close(self) -> None:
        """Close the connections and end the thread. Exchanges in flight are broken off."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._runner.run(self._until_closing())

    async def _until_closing(self) -> None:
        async with self._client:
            await self._closing.wait()

    async def _exchange(self, url: httpx.URL, headers: Mapping[str, str], content: bytes, deadline: float) -> Answer:
        connect_s = (deadline - time.monotonic()) * CONNECT_SHARE
        sent = False

        async def trace(event: str, _: Mapping[str, object]) -> None:
            nonlocal sent
            sent = sent or event.endswith("send_request_headers.started")

        post = self._client.stream(
            "POST",
            url,
            content=content,
            headers=headers,
            timeout=httpx.Timeout(None, connect=connect_s),
            extensions={"trace": trace},
        )
        told: Answer | None = None
        try:
            async with asyncio.timeout_at(deadline), post as response:
                if response.status_code == 200:
                    return Answer(200, response.headers, await _bounded_body(response))
                told = Answer(response.status_code, response.headers)
                return replace(told, body=await _explanation(response))
        except (TimeoutError, httpx.TransportError) as error:
            # Whatever happens to the rest of it, a status that came stands.
            if told is not None:
                return told
            if sent:
                raise
            raise NotSent(type(error).__name__) from error


async def _bounded_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return b""
    return bytes(body)


async def _explanation(response: httpx.Response) -> bytes:
    """What a refusal says beside its status, as far as it is worth waiting for."""
    body = bytearray()
    if response.status_code in _EXPLAINED:
        with suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(REFUSAL_S):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_REFUSAL_BYTES:
                        break
    return bytes(body[:MAX_REFUSAL_BYTES])
