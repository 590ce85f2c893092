"""Runs the server for tests: its moods, its log, its start and its end."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from tests.support.fake_provider.answer import Answer, make_answer
from tests.support.fake_provider.listener import Listener
from tests.support.fake_provider.moods import Mood, Received, ok
from tests.support.fake_provider.request_log import RequestLog, Row

Choice = Callable[[Received], Mood | None]


@dataclass(slots=True)
class _Rule:
    mood: Mood
    when: str
    times: int | None


class FakeProvider:
    """Answers requests in the mood of the first rule that fits, and with an echo when none does."""

    def __init__(self, log_path: Path | None = None, port: int = 0) -> None:
        """Port 0 takes a free one. It listens from here on and answers once it is entered."""
        self.released = threading.Event()
        self.closing = threading.Event()
        self.steps = threading.Semaphore(0)
        self._log = RequestLog(log_path)
        self._rules: list[_Rule] = []
        self._choice: Choice | None = None
        self._lock = threading.Lock()
        self._server = Listener(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fake-provider")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.released.set()
        self.steps.release(1000)
        self._server.shutdown()
        self._thread.join()
        self._server.close()
        self._log.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def rows(self) -> list[Row]:
        """The requests so far, in order of arrival."""
        return self._log.rows

    @property
    def connections(self) -> int:
        """Return the number of accepted connections."""
        return self._server.accepted

    @property
    def open_connections(self) -> int:
        """Return the number of connections that neither side has closed."""
        return len(self._server.open)

    def add(self, mood: Mood, *, when: str = "", times: int | None = 1) -> None:
        """Answer the next `times` requests (None: all) whose system prompt has `when` in it in this mood."""
        with self._lock:
            self._rules.append(_Rule(mood, when, times))

    def answer_with(self, choice: Choice | None) -> None:
        """Ask `choice` before the rules, which decide when it returns None."""
        self._choice = choice

    def release(self) -> None:
        """Let go of every request that is on hold, and of those that would be."""
        self.released.set()

    def step(self, pieces: int = 1) -> None:
        """Release `pieces` of a stepped stream."""
        self.steps.release(pieces)

    def clear(self) -> None:
        """Forget rules, choice, release and steps. The log stays."""
        while self.steps.acquire(blocking=False):
            pass
        with self._lock:
            self._rules.clear()
        self._choice = None
        self.released.clear()

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> list[Row]:
        """The rows, once there are `count` of them; a request on hold is among them. Raises TimeoutError."""
        return self._log.wait_for(count, timeout_s)

    def receive(self, received: Received) -> tuple[Mood, Answer]:
        """Decide about a request and write it down."""
        mood = (self._choice and self._choice(received)) or self._next_mood(received) or ok()
        request_id = uuid4().hex
        answer = make_answer(mood, received, request_id)
        body = dict(received.body)
        self._log.append(
            Row(
                request_id=request_id,
                client_request_id=received.headers.get("X-Client-Request-Id"),
                authorization=received.headers.get("Authorization"),
                path=received.path,
                model=body.pop("model", None),
                messages=body.pop("messages", []),
                parameters=body,
                status=answer.status,
                usage=answer.usage,
                charged=answer.charged,
            )
        )
        return mood, answer

    def _next_mood(self, received: Received) -> Mood | None:
        system = received.text_of("system")
        with self._lock:
            for rule in self._rules:
                if rule.when in system and rule.times != 0:
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule.mood
        return None
