"""The named points of the protocol, put around the database and the provider of one forked process.

`before`, `within` and `after` a statement: not sent, done and not committed, committed and not yet known to the
process. `within` a statement and one of its parts: done up to that part. `before`, `sent` and `after` a call: not sent,
in the provider's log and not answered, answered and not recorded. `heard text`: a piece of an answer was told to the
turn's listener. `wrote` an event: its client has it.

At a point the process is killed, stops, or waits for a message from the harness.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from shared.db import protocol
from shared.db.api import history
from shared.db.engine import Database, Params, Row, Statement
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, OnText, Request
from tests.faults.forked import Line
from tests.support.watched_database import transaction

Action = Literal["kill", "stop", "pause"]
# A point is a number in the order of this job, or a name such as "within publish" with its occurrence, from 1.
Target = int | tuple[str, int]
_DEADLINE_S = 30.0


def statement_names() -> dict[Statement, str]:
    """Return the names of the protocol's steps in docs/transactions.md."""
    return {
        protocol.ACCEPT: "accept",
        protocol.OPEN: "ask",
        protocol.RECORD: "record",
        protocol.RELEASE: "release",
        protocol.CLAIM: "claim",
        protocol.PUBLISH: "publish",
        protocol.DELETE_SESSION: "delete",
        protocol.LOAD_NEW_TURN: "load",
        protocol.LOAD_RESUMED_TURN: "load for resume",
        protocol.LOAD_CHECKPOINT: "load a graph's state",
        history.CANCEL: "cancel",
    }


class Points:
    """`trace` are the points that the job has passed."""

    def __init__(self, pipe: Line, provider_log: Path) -> None:
        self.trace: list[str] = []
        self._names = statement_names()
        self._pipe = pipe
        self._provider_log = provider_log
        self._target: Target | None = None
        self._action: Action = "kill"
        self._linger_s = 0.0
        # Each thread of parallel calls passes points.
        self._lock = threading.RLock()

    def begin(self, target: Target | None, action: Action, linger_s: float = 0.0) -> None:
        """Begin a job. A process that is to be killed lives `linger_s` seconds longer, in which its other threads go
        on.
        """
        self.trace, self._target, self._action, self._linger_s = [], target, action, linger_s

    def reach(self, point: str) -> None:
        with self._lock:
            met = self._is_next(point)
            self.trace.append(point)
            if met:
                self._target = None
                if self._action != "kill":
                    self._act(point)
        if met and self._action == "kill":
            time.sleep(self._linger_s)
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_next(self, point: str) -> bool:
        with self._lock:
            if isinstance(self._target, tuple):
                return self._target == (point, self.trace.count(point) + 1)
            return self._target == len(self.trace)

    def _act(self, point: str) -> None:
        if self._action == "pause":
            self._pipe.send(("paused", point))
            # The harness may have named the next point to pause at.
            self._target = self._pipe.recv()
        else:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _is_ahead(self, points: Sequence[str]) -> bool:
        """Return whether the target is one of the next points."""
        with self._lock:
            if isinstance(self._target, tuple):
                name, time = self._target
                return self.trace.count(name) < time <= self.trace.count(name) + points.count(name)
            return self._target is not None and 0 <= self._target - len(self.trace) < len(points)

    def _name(self, work: Sequence[tuple[Statement, Params]]) -> str:
        return next((self._names[statement] for statement, _ in work if statement in self._names), "read")

    def install(self) -> None:
        """Put the points into this process, for good."""
        run_all, complete = Database.run_all, OpenAICompatibleProvider.complete

        def run_all_(
            db: Database, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
        ) -> list[list[Row]]:
            name = self._name(work)
            self.reach(f"before {name}")
            points = _within(name, work)
            if tenant_id is not None and self._is_ahead(points):
                # As one implicit transaction it has no moment between its work and its commit.
                with transaction(db, tenant_id) as execute:
                    ahead = iter(points)
                    rows = [execute(*one, lambda _: self.reach(next(ahead))) for one in work]
            else:
                rows = run_all(db, tenant_id, *work, answer_s=answer_s)
                for point in points:
                    self.reach(point)
            self.reach(f"after {name}")
            return rows

        def complete_(
            provider: OpenAICompatibleProvider, request: Request, on_text: OnText | None = None
        ) -> Completion:
            self.reach("before call")
            on_text = on_text and self._pointed(on_text)
            if self._is_next("sent call"):
                completion = self._while_asked(request, lambda: complete(provider, request, on_text))
            else:
                self.reach("sent call")
                completion = complete(provider, request, on_text)
            self.reach("after call")
            return completion

        for owner, name, replacement in (
            (Database, "run_all", run_all_),
            (OpenAICompatibleProvider, "complete", complete_),
        ):
            setattr(owner, name, replacement)

    def _pointed(self, on_text: OnText) -> OnText:
        def hear(text: str) -> None:
            on_text(text)
            self.reach("heard text")

        return hear

    def _while_asked(self, request: Request, complete: Callable[[], Completion]) -> Completion:
        """Pass the point `sent call` once the provider has logged the request."""
        answered: list[Completion] = []
        with self._provider_log.open(encoding="utf-8") as log:
            log.seek(0, os.SEEK_END)
            asking = threading.Thread(target=lambda: answered.append(complete()))
            asking.start()
            seen, deadline = "", time.monotonic() + _DEADLINE_S
            while request.call_id not in seen and asking.is_alive() and time.monotonic() < deadline:
                time.sleep(0.001)
                seen += log.read()
        self.reach("sent call")
        asking.join()
        return answered[0]


def _within(name: str, work: Sequence[tuple[Statement, Params]]) -> list[str]:
    """Return the points `within`, one after each part that is sent. The last one has no part's name."""
    parts = [
        part.name
        for statement, params in work
        for part in statement.parts
        if part.needs is None or params[part.needs] is not None
    ]
    return [*(f"within {name} {part}" for part in parts[:-1]), f"within {name}"]
