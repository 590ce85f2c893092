"""One client under load: it posts turns to its sessions, runs those for later as their worker, and reads."""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, OnText, Request
from tests.faults import events
from tests.faults.actor import AMPLE_S, ScriptedContext, forget, handlers
from tests.faults.checks import Finding

TURNS_PER_SESSION = 12
_LATER = 0.1
_MESSAGES = ("hello", "@writer hello", "@critic @researcher hello", "@writer @critic @researcher " + "word " * 90)
_SUCCESS = (200, 201, 202)


@dataclass(frozen=True)
class Turn:
    """A turn that ended: its post in seconds after the beginning, its time in functions, and the part of it without a
    call.
    """

    at: float
    seconds: float
    overhead_s: float


@dataclass
class Did:
    """The results of a client. `answers` are by status, and 0 is the worker's."""

    turns: list[Turn] = field(default_factory=list)
    calls: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    found: list[Finding] = field(default_factory=list)


def serve(pipe: Connection, environ: Mapping[str, str], log: Path, seed: str, seconds: float) -> None:
    """Run a client for this time, in a process that was forked for it."""
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.update(environ)
    forget()
    asyncio.set_event_loop(asyncio.new_event_loop())
    client = _Client(random.Random(seed))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.talk()
    pipe.send(client.did)


class _Client:
    def __init__(self, rng: random.Random) -> None:
        self.did = Did()
        self._rng = rng
        self._began = time.monotonic()
        self._calls: list[tuple[float, float]] = []
        self._watch_calls()

    def talk(self) -> None:
        """Run a session, from its first turn to its last."""
        session = {
            "mode": self._rng.choice(["manual", "tag", "roundtable", "orchestrator", "council"]),
            "fan_out": self._rng.choice(["sequential", "parallel"]),
            "agent_keys": ["writer", "critic", "researcher"],
        }
        path = f"/sessions/{self._ask('api', 'POST', '/sessions', session)['id']}"
        for _ in range(TURNS_PER_SESSION):
            self._take(path)
        listed = self._ask("api", "GET", f"{path}/turns")["items"]
        self._expect("lost", len(listed) == TURNS_PER_SESSION, f"{path} has {len(listed)} turns")

    def _take(self, session: str) -> None:
        began, self._calls = time.monotonic(), []
        later = {"prefer": "respond-async"} if self._rng.random() < _LATER else {}
        posted = self._ask("turns", "POST", f"{session}/turns", {"message": self._rng.choice(_MESSAGES)}, later)
        if later:
            worked = handlers()["worker"](events.deliver(UUID(posted["id"])), ScriptedContext([AMPLE_S]))
            self._expect("told", worked == {"batchItemFailures": []}, f"the worker said {worked}")
        seconds = time.monotonic() - began
        self.did.turns.append(Turn(began - self._began, seconds, seconds - self._waited()))
        self.did.calls += len(self._calls)
        turn = self._ask("api", "GET", f"/turns/{posted['id']}")
        answered = [reply["status"] for reply in turn["replies"]]
        self._expect("told", set(answered) == {"completed"}, f"turn {turn['id']} is {turn['status']}: {answered}")

    def _ask(
        self,
        function: Literal["api", "turns"],
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = handlers()[function](events.request(method, path, headers or {}, body), ScriptedContext([AMPLE_S]))
        assert isinstance(answer, dict)
        status = answer["statusCode"]
        self.did.answers[status] += 1
        self._expect("told", status in _SUCCESS, f"{method} {path} was answered {status}: {answer['body'][:200]}")
        read: dict[str, Any] = json.loads(answer["body"])
        return read

    def _expect(self, kind: str, holds: bool, text: str) -> None:
        if not holds:
            self.did.found.append((kind, text))

    def _watch_calls(self) -> None:
        """Note the times of each call of this process."""
        complete = OpenAICompatibleProvider.complete

        def watched(provider: OpenAICompatibleProvider, request: Request, on_text: OnText | None = None) -> Completion:
            began = time.monotonic()
            try:
                return complete(provider, request, on_text)
            finally:
                self._calls.append((began, time.monotonic()))

        setattr(OpenAICompatibleProvider, "complete", watched)  # noqa: B010 a method, in this process only

    def _waited(self) -> float:
        """Return the seconds in which at least one of this turn's calls was under way."""
        waited, until = 0.0, 0.0
        for began, ended in sorted(self._calls):
            waited += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return waited
