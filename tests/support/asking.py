"""Runs a step of a turn with scripted models, and makes the answer for each error of an attempt."""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from uuid import uuid4

import pytest

from shared.catalog import Model, build
from shared.domain.turn import Verdict
from shared.llm.port import CallStatus, Completion, Message, Request
from shared.llm.scripted import ScriptedProvider
from shared.llm.tokens import REQUEST_OVERHEAD
from shared.orchestration.attempts import Asker
from shared.orchestration.steps import Ask, Attempt
from shared.settings import Settings
from tests.support.memory_journal import MemoryJournal

CATALOG = build(Settings.model_construct(llm_provider="scripted", max_call_s=None))
FAST, DEEP = CATALOG["fast"], CATALOG["deep"]
assert (FAST.fallback_alias, DEEP.fallback_alias) == (None, "fast")

# Why an attempt gave no answer: whether it is worth asking again, and whether another model could do better.
AGAIN = (
    "throttled",
    "provider_error",
    "timeout",
    "connection_lost",
    "malformed_response",
    "empty_reply",
    "context_overflow",
)
ELSEWHERE = (
    "unavailable",
    "provider_unauthorized",
    "provider_quota",
    "model_unavailable",
    "thinking_only",
    # Where no other request would do better.
    "invalid_parameter",
)
FINAL = ("refused", "content_filtered")
ERRORS = (*AGAIN, *ELSEWHERE, *FINAL)

_STATUS: Mapping[str, CallStatus] = dict.fromkeys(
    (*(error for error in ELSEWHERE if error != "thinking_only"), "throttled", "refused", "context_overflow"),
    "unbilled",
)
# Tokens for the messages of each alias: the window less the agent's or the model's cap, and the overhead.
ROOMS = {"deep": 8192 - 300 - REQUEST_OVERHEAD, "fast": 8192 - 256 - REQUEST_OVERHEAD}


def completion(error: str | None) -> Completion:
    """Return the completion that gives the attempt this error."""
    match error:
        case None:
            return Completion("succeeded", "An answer.", "end_turn")
        case "empty_reply":
            return Completion("succeeded", " \n", "end_turn")
        case "content_filtered":
            return Completion("succeeded", "An ans", "content_filtered")
        case "thinking_only":
            return Completion("succeeded", "", "max_tokens", error="thinking_only")
        case "invalid_parameter":
            return Completion("unbilled", error="invalid_parameter", adapted=False)
    return Completion(_STATUS.get(error, "unknown"), error=error)  # type: ignore[arg-type]


def attempt(model: Model, error: str | None, verdict: Verdict | None = None) -> Attempt:
    return Attempt(uuid4(), model.alias, completion(error), error, verdict)


ASK = Ask(3, "agent", "deep", 300, 0.5, lambda room: (Message("user", f"{room} tokens: " + "x" * 3 * room),))


class Stage:
    """An asker on a scripted provider, with a clock of its own."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *known: Attempt,
        deep: Model = DEEP,
        seconds_left: float = 900.0,
        holds: int = 99,
    ) -> None:
        self.journal = MemoryJournal({ASK.step: known}, holds=holds)
        self.provider = ScriptedProvider()
        self.slept: list[float] = []
        self.asker = Asker(
            uuid4(), {"fast": FAST, "deep": deep}, self.provider, self.journal, lambda: seconds_left - sum(self.slept)
        )
        # The clock of waits stands still, unless a test sets it: before every outcome, so that each wait is whole.
        self.now = 0.0
        monkeypatch.setattr("shared.orchestration.attempts.time", SimpleNamespace(sleep=self._sleep))
        monkeypatch.setattr("shared.orchestration.next_alias.time", SimpleNamespace(monotonic=lambda: self.now))

    def _sleep(self, seconds: float) -> None:
        self.journal.log.append("sleep")
        self.slept.append(seconds)

    def answers(self, *errors: str | None) -> "Stage":
        self.provider.enqueue(*(partial(self._answer, completion(error)) for error in errors))
        return self

    def _answer(self, answer: Completion, _: Request) -> Completion:
        self.journal.log.append("complete")
        return answer

    @property
    def asked(self) -> list[str]:
        return [request.model.alias for request in self.provider.requests]
