"""One call to a provider over HTTP, from the request that is written to what its outcome means for the bill.

The rule this file protects: one call is one request, and what became of it is told honestly. An outcome is
`unbilled` only if the provider refused the request, or if nothing of it was sent.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from shared.catalog import WORKER_SECONDS
from shared.llm.chat_completions import word
from shared.llm.port import Completion, Request
from shared.llm.tokens import is_credible
from shared.llm.wire import Answer, NotSent, Wire

_THIS_MACHINE: Final = ("127.0.0.1", "::1", "localhost")
# How OpenAI, llama.cpp, vLLM, and the models behind Bedrock say that a prompt is too long. Taken for that by mistake, a
# refusal costs one more request, which is not billed either.
_OVERFLOW: Final = re.compile(
    rb"context_length_exceeded|exceed_context_size|(maximum )?context (length|window|limit|size)"
    rb"|(prompt|input) is too long|too many (input )?tokens|input token count",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider answers: the header in which it names a response, and how the body of a 200 is read."""

    request_id_header: str
    read: Callable[[bytes, str | None], Completion]


class Exchanges:
    """Calls over one wire per process. Blocking, and safe to use from any number of threads."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lock = threading.Lock()
        self._wire: Wire | None = None

    def complete(self, request: Request, write: Callable[[float], Post]) -> Completion:
        """Send what `write` makes of the deadline, once. Returns within `request.model.max_call_s` seconds, if
        `write` keeps the deadline, by `time.monotonic()`, and does not raise."""
        deadline = time.monotonic() + request.model.max_call_s
        try:
            answer = self._send(_written(write, deadline), deadline)
            completion, cause = outcome(answer, self._dialect, request), f"status {answer.status}"
        except Exception as error:  # noqa: BLE001 - the port promises an outcome, whatever goes wrong
            completion, cause = _failure(error), type(error.__cause__ or error).__name__
        if completion.status != "succeeded":
            logger.warning("Call %s is %s: %s (%s)", request.call_id, completion.status, completion.error, cause)
        return completion

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome; the next call connects anew."""
        with self._lock:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _send(self, post: Post, deadline: float) -> Answer:
        # The environment's proxy leads away from this machine, and a local model is on it.
        wire = self._running_wire(trust_env=post.url.host not in _THIS_MACHINE)
        return wire.post(post.url, post.headers, post.body, deadline)

    def _running_wire(self, *, trust_env: bool) -> Wire:
        with self._lock:
            # A fork takes no threads along: a child would wait for its parent's wire for ever.
            if self._wire is None or self._wire.pid != os.getpid():
                self._wire = Wire(trust_env=trust_env)
            return self._wire


def _written(write: Callable[[float], Post], deadline: float) -> Post:
    try:
        return write(deadline)
    except Exception as error:
        raise NotSent(type(error).__name__) from error


def outcome(answer: Answer, dialect: Dialect, request: Request) -> Completion:
    """What a status means for the bill of `request`, whatever else came with it."""
    request_id = word(answer.headers.get(dialect.request_id_header))
    match answer.status:
        case 200:
            return _believed(dialect.read(answer.body, request_id), request)
        case 429:
            return Completion(
                "unbilled",
                provider_request_id=request_id,
                error="throttled",
                retry_after_s=_retry_after(answer.headers),
            )
        case 400 | 413 if _OVERFLOW.search(answer.body):
            return Completion("unbilled", provider_request_id=request_id, error="context_overflow")
        case status if 300 <= status < 500 and status not in (408, 424):
            return Completion("unbilled", provider_request_id=request_id, error="refused")
        case status if 200 < status < 300:
            return Completion("unknown", provider_request_id=request_id, error="malformed_response")
    return Completion("unknown", provider_request_id=request_id, error="provider_error")


def _believed(completion: Completion, request: Request) -> Completion:
    """A count that `request` cannot have taken is none."""
    if is_credible(completion.usage, request):
        return completion
    return Completion("unknown", provider_request_id=completion.provider_request_id, error="malformed_response")


def _failure(error: Exception) -> Completion:
    """What an exception means for the bill. One that nobody foresaw may have come after the sending."""
    match error:
        case NotSent():
            return Completion("unbilled", error="unavailable")
        case TimeoutError():
            return Completion("unknown", error="timeout")
    return Completion("unknown", error="connection_lost")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, at most as many as any function lives; None for a date or for nonsense."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, WORKER_SECONDS) if seconds >= 0 else None
