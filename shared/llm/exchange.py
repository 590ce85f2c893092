"""Make one call to a provider over HTTP: write the request, send it once, and return its outcome.

An outcome is `unbilled` only if the provider refused the request, or nothing of it was sent. Any exception before the
first byte means that nothing was sent. A later one makes the outcome unknown.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv6Address
from typing import Final

import httpx

from shared.errors import ConfigurationError
from shared.llm.dialects import STREAM, Dialects
from shared.llm.live_answer import LiveAnswer
from shared.llm.outcomes import Dialect, Sent, outcome
from shared.llm.port import Completion, OnText, Request
from shared.llm.wire import Answer, NotSent, Wire

_LOOPBACK: Final = 127

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    """A written request. `optional` names the parts that another request could leave out."""

    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes
    optional: frozenset[str] = frozenset()


class Exchanges:
    """Calls over one Wire per process. Blocking, and safe to use from any number of threads."""

    def __init__(self, dialect: Dialect, host: str | None = None, secrets: Sequence[str] = ()) -> None:
        """`host` is the provider's, if it is known. No log line has one of the `secrets`. Raises ConfigurationError if
        the environment prevents an HTTP client."""
        self.dialects = Dialects()
        self._dialect = dialect
        self._secrets = secrets
        self._lock = threading.Lock()
        self._wire: Wire | None = _checked_wire(trust_env=not (host and is_this_machine(host)))

    def complete(self, request: Request, write: Callable[[float], Post], on_text: OnText | None = None) -> Completion:
        """Send the Post that `write` makes for the deadline (`time.monotonic()`), once. Returns within
        `request.limit_s` seconds if `write` keeps the deadline, and does not raise."""
        deadline = time.monotonic() + request.limit_s
        live = None if on_text is None else LiveAnswer(self._dialect.stream(), on_text)
        try:
            post, wire = self._prepared(write, deadline)
            answer = _answer(wire, post, deadline, live)
            learn = partial(self.dialects.learn, request.model.alias)
            completion = outcome(answer, self._dialect, request, Sent(post.optional, self._secrets, learn))
            cause = f"status {answer.status}"
            if live is not None and live.is_stream and completion.error == "malformed_response":
                self.dialects.learn_for_good(request.model.alias, STREAM)
        except Exception as error:  # noqa: BLE001 - the port promises an outcome, whatever goes wrong
            cause = type(error.__cause__ or error).__name__
            completion = _failure(error, cause)
        _log(request, completion, cause)
        if live is not None:
            live.finish(completion)
        return completion

    def close(self) -> None:
        """Close the connections. Calls in flight end with an unknown outcome. The next call connects again."""
        with self._lock:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _prepared(self, write: Callable[[float], Post], deadline: float) -> tuple[Post, Wire]:
        """Return the request and the wire. Raises only NotSent."""
        try:
            post = write(deadline)
            return post, self._running_wire(trust_env=not is_this_machine(post.url.host))
        except Exception as error:
            raise NotSent(type(error).__name__) from error

    def _running_wire(self, *, trust_env: bool) -> Wire:
        with self._lock:
            wire = self._wire
            # Without a setting, the first request shows the host. A child process must not use its parent's wire.
            if wire is None or wire.is_of_another_process or (wire.trust_env != trust_env and not wire.started):
                wire = self._wire = Wire(trust_env=trust_env)
            if not wire.started:
                wire.start()
            return wire


def _answer(wire: Wire, post: Post, deadline: float, live: LiveAnswer | None) -> Answer:
    """Send the request once. `live` reads the body of a 200 while it comes. Raises as the wire does."""
    if live is None:
        return wire.post(post.url, post.headers, post.body, deadline)
    answer = wire.post(post.url, post.headers, post.body, deadline, live.take)
    return replace(answer, body=live.body()) if answer.status == 200 else answer


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address, which the environment's proxy cannot reach."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # inet_aton also reads the short forms, such as 127.1.
        return IPv6Address(host).is_loopback if ":" in host else socket.inet_aton(host)[0] == _LOOPBACK
    except (OSError, ValueError):
        return False


def _checked_wire(*, trust_env: bool) -> Wire:
    try:
        return Wire(trust_env=trust_env)
    except Exception as error:
        # The exception's text may have a proxy's password.
        raise ConfigurationError(
            f"no HTTP client can be made ({type(error).__name__}). Check the environment: HTTP_PROXY, HTTPS_PROXY, "
            "ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
        ) from error


def _log(request: Request, completion: Completion, cause: str) -> None:
    if completion.status == "succeeded" and completion.error is None:
        return
    logger.warning(
        "Call %s is %s: %s (%s)",
        request.call_id,
        completion.status,
        completion.error,
        cause,
        extra={"provider_message": completion.provider_message, "model_alias": request.model.alias},
    )


def _failure(error: Exception, cause: str) -> Completion:
    """Return the outcome of a call that raised. Only the class is told, because the text may have secrets."""
    match error:
        case NotSent():
            return Completion("unbilled", error="unavailable", provider_message=f"Nothing was sent ({cause}).")
        case TimeoutError():
            return Completion("unknown", error="timeout")
    return Completion("unknown", error="connection_lost")
