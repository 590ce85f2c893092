"""Tests the contract of journals on both: the one on Postgres, and the one in memory that unit tests use."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

import pytest
from uuid6 import uuid7

from shared.catalog import catalog
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation
from shared.domain.turn import Plan, Purpose, Verdict
from shared.llm.port import Completion, Message, Request
from shared.llm.scripted import ScriptedProvider
from shared.orchestration.attempts import Asker
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES
from shared.orchestration.steps import Ask, Journal, Opened, Refused
from shared.turns.call import new_call
from shared.turns.claim import claim
from shared.turns.draft import Draft, load_draft
from shared.turns.journal import TurnJournal
from tests.support.council_room import FAST_COST, USAGE, CouncilRoom, answer, unbilled, unknown
from tests.support.memory_journal import MemoryJournal

WRITER = Agent("writer", 1, "Writer", "You are the writer.", "fast", 100, None, enabled=True)
MESSAGES = (Message("user", "hello"),)
SHORT = Refused("budget_exceeded")
Call = tuple[Ask, Request]


@dataclass
class Kept:
    """A new turn's journal. `resume` returns the one that the next process finds."""

    journal: Journal
    resume: Callable[[], Journal]

    def open(self, *calls: Call) -> Opened:
        return self.journal.open(calls)

    def close(self, call: Call, completion: Completion, verdict: Verdict | None = None) -> None:
        kept = self.journal.close(UUID(call[1].call_id), completion, completion.error, verdict)
        assert (str(kept.call_id), kept.model_alias, kept.error, kept.verdict) == (
            call[1].call_id,
            "fast",
            completion.error,
            verdict,
        )


def a_call(step: int, purpose: Purpose = "agent", plan: Plan | None = None) -> Call:
    ask = Ask(step, purpose, "fast", 100, None, lambda _: MESSAGES, plan, WRITER if purpose == "agent" else None)
    return ask, Request(str(uuid7()), str(uuid7()), catalog()["fast"], MESSAGES, 100)


def in_memory(_: CouncilRoom, covered: int) -> Kept:
    journal = MemoryJournal(holds=covered)
    return Kept(journal, journal.resumed)


def on_postgres(room: CouncilRoom, covered: int) -> Kept:
    for payer in (f"tenant:{room.tenant_id}", "platform"):
        room.limit(covered * new_call(*a_call(0), 1).reserve_usd, payer)
    draft = load_draft(room.db, room.request("@writer hello"), uuid7())
    assert isinstance(draft, Draft)
    turn_id = draft.header.turn_id

    def resume() -> Journal:
        room.expire_lease()
        claimed = claim(room.db, room.tenant_id, turn_id)
        assert claimed is not None
        return claimed.journal

    return Kept(TurnJournal(room.db, room.tenant_id, turn_id, draft.columns), resume)


@pytest.fixture(params=[in_memory, on_postgres])
def keep(request: pytest.FixtureRequest, room: CouncilRoom) -> Callable[[int], Kept]:
    """Make a journal whose budget covers this number of calls."""
    return lambda covered: request.param(room, covered)


def known(journal: Journal, step: int) -> list[tuple[str, str | None, Verdict | None]]:
    """Return the text, the error and the verdict of each attempt."""
    return [(each.completion.text, each.error, each.verdict) for each in journal.attempts(step)]


def test_open_leaves_no_attempt_and_close_leaves_one_with_its_cost(keep: Callable[[int], Kept]) -> None:
    kept, call = keep(9), a_call(0)
    assert known(kept.journal, 0) == []
    assert kept.open(call) == Opened(1)
    assert known(kept.journal, 0) == []
    kept.close(call, answer("Roses."), "reply")
    assert known(kept.journal, 0) == [("Roses.", None, "reply")]
    (attempt,) = kept.journal.attempts(0)
    assert (attempt.completion.usage, attempt.cost_usd) == (USAGE, FAST_COST)
    assert known(kept.journal, 1) == []


def test_attempts_of_a_step_come_oldest_first(keep: Callable[[int], Kept]) -> None:
    kept, calls = keep(9), [a_call(0), a_call(0), a_call(1)]
    for call, completion in zip(calls, [unbilled("throttled"), unknown("timeout"), answer("Lilies.")], strict=True):
        assert kept.open(call) == Opened(1)
        kept.close(call, completion)
    assert known(kept.journal, 0) == [("", "throttled", None), ("", "timeout", None)]


def test_calls_that_start_together_close_in_any_order(keep: Callable[[int], Kept]) -> None:
    kept, calls = keep(9), [a_call(0), a_call(1), a_call(2)]
    assert kept.open(*calls) == Opened(3)
    for call, text in ((calls[2], "c"), (calls[0], "a"), (calls[1], "b")):
        kept.close(call, answer(text), "reply")
        kept.journal.flush()
    expected = [[(text, None, "reply")] for text in "abc"]
    assert [known(kept.journal, step) for step in range(3)] == expected
    resumed = kept.resume()
    assert [known(resumed, step) for step in range(3)] == expected


@pytest.mark.parametrize("covered", [1, 2, 3])
def test_open_opens_the_first_calls_that_the_budget_covers(keep: Callable[[int], Kept], covered: int) -> None:
    kept, calls = keep(covered), [a_call(0), a_call(1), a_call(2)]
    assert kept.open(*calls) == Opened(covered, SHORT if covered < 3 else None)
    for call in calls[:covered]:
        kept.close(call, answer(), "reply")
    assert kept.open(a_call(3)) == Opened(0, SHORT)


def test_a_refused_open_keeps_the_outcome_before_it(keep: Callable[[int], Kept]) -> None:
    kept, call = keep(1), a_call(0)
    kept.open(call)
    kept.close(call, answer("Roses."), "reply")
    assert kept.open(a_call(1)) == Opened(0, SHORT)
    resumed = kept.resume()
    assert known(resumed, 0) == [("Roses.", None, "reply")]
    assert known(resumed, 1) == []


def test_flush_writes_the_outcome_once(keep: Callable[[int], Kept]) -> None:
    kept, call = keep(9), a_call(0)
    kept.open(call)
    kept.journal.flush()
    kept.close(call, answer("Roses."), "reply")
    kept.journal.flush()
    kept.journal.flush()
    assert known(kept.journal, 0) == known(kept.resume(), 0) == [("Roses.", None, "reply")]


def test_a_resumed_journal_has_no_attempt_whose_outcome_died_with_its_process(keep: Callable[[int], Kept]) -> None:
    kept, first, second, third = keep(9), a_call(0), a_call(1), a_call(2)
    kept.open(first)
    kept.close(first, answer("Roses."), "reply")
    kept.open(second)
    kept.close(second, answer("Lilies."), "reply")
    resumed = kept.resume()
    assert [known(resumed, step) for step in range(3)] == [[("Roses.", None, "reply")], [], []]
    assert resumed.open([third]) == Opened(1)


def test_a_resumed_journal_counts_the_calls_before_it_against_the_budget(keep: Callable[[int], Kept]) -> None:
    kept = keep(2)
    kept.open(a_call(0))
    resumed = kept.resume()
    assert resumed.open([a_call(0), a_call(1)]) == Opened(1, SHORT)


def test_a_resumed_council_reads_the_refusal_of_a_manager_that_left_no_call(keep: Callable[[int], Kept]) -> None:
    """The budget refused the first process's manager, so the plan is the fallback."""
    kept, plan = keep(9), Plan(("writer",), "fallback")
    kept.open(a_call(1, plan=plan))
    asker = Asker(uuid7(), catalog(), ScriptedProvider(), kept.resume(), lambda: 900.0)
    council = Council(Conversation(MappingProxyType({"writer": WRITER}), (), "hello"), asker, plan)
    MODES["orchestrator"](council)
    assert [(each.component, each.reason) for each in council.fallbacks] == [("routing", "budget_exceeded")]
    assert [reply.status for reply in council.replies] == ["completed"]
