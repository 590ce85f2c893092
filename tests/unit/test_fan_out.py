"""Tests independent steps: they run at the same time, and each outcome is recorded by itself."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from uuid import uuid4

import pytest

from shared.catalog import CALL_MARGIN_S, build
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation
from shared.domain.turn import Plan, Reply
from shared.llm.port import Completion, Message, Request
from shared.llm.scripted import ScriptedProvider
from shared.orchestration.attempts import Asker, OutOfTime
from shared.orchestration.council import Council
from shared.orchestration.steps import Ask, Attempt, Refused
from shared.settings import Settings
from tests.support.memory_journal import MemoryJournal

CATALOG = build(Settings.model_construct(llm_provider="scripted", max_call_s=None))
DEADLINE_S = 20.0
KEYS = ("writer", "researcher", "critic")


def ask(step: int, alias: str = "fast") -> Ask:
    return Ask(step, "agent", alias, 256, None, lambda _: (Message("user", f"step {step}"),))


ASKS = [ask(step) for step in range(3)]


def asker(journal: MemoryJournal, provider: ScriptedProvider, seconds_left: float = 900.0) -> Asker:
    return Asker(uuid4(), CATALOG, provider, journal, lambda: seconds_left)


def heard(request: Request) -> str:
    return request.messages[-1].text


def texts(settled: Sequence[Attempt | Refused]) -> list[str]:
    """Return the text of each answer, or the code of its refusal."""
    return [each.code if isinstance(each, Refused) else each.completion.text for each in settled]


def verdicts(settled: Sequence[Attempt | Refused]) -> list[str | None]:
    return [None if isinstance(each, Refused) else each.verdict for each in settled]


def by_step(**replies: Completion | Callable[[], Completion]) -> Callable[[Request], Completion]:
    """A reply for each step, whichever asks first; without one, it is an answer."""

    def reply(request: Request) -> Completion:
        chosen = replies.get(heard(request).replace(" ", ""), Completion("succeeded", heard(request), "end_turn"))
        return chosen() if callable(chosen) else chosen

    return reply


def test_steps_are_asked_at_the_same_time_after_one_write() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()
    together = threading.Barrier(3, timeout=DEADLINE_S)

    def wait_for_the_others(request: Request) -> Completion:
        together.wait()
        return Completion("succeeded", heard(request), "end_turn")

    provider.enqueue(*[wait_for_the_others] * 3)
    settled = asker(journal, provider).settle_all(ASKS)
    assert texts(settled) == ["step 0", "step 1", "step 2"]
    assert verdicts(settled) == ["reply"] * 3
    # One write for three intents, and each outcome in the database before the next one is waited for.
    assert journal.log == ["open", "close", "flush", "close", "flush", "close"]


def test_outcomes_are_recorded_as_they_arrive_and_returned_in_order() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()
    last_is_there = threading.Event()

    def wait() -> Completion:
        assert last_is_there.wait(DEADLINE_S)
        return Completion("succeeded", "late", "end_turn")

    def arrive() -> Completion:
        last_is_there.set()
        return Completion("succeeded", "early", "end_turn")

    provider.enqueue(*[by_step(step0=wait, step2=arrive)] * 3)
    settled = asker(journal, provider).settle_all(ASKS)
    assert texts(settled) == ["late", "step 1", "early"]


def test_steps_within_the_budget_are_asked_in_order() -> None:
    journal, provider = MemoryJournal(holds=2), ScriptedProvider()
    settled = asker(journal, provider).settle_all(ASKS)
    assert [isinstance(each, Attempt) for each in settled] == [True, True, False]
    assert sorted(map(heard, provider.requests)) == ["step 0", "step 1"]
    assert journal.log.count("open") == 1, "what the budget refused is not asked for again"


def test_steps_are_refused_when_the_budget_covers_none() -> None:
    journal, provider = MemoryJournal(holds=0), ScriptedProvider()
    assert asker(journal, provider).settle_all(ASKS) == [Refused("budget_exceeded")] * 3
    assert provider.requests == []


def test_steps_need_time_for_the_longest_before_the_write() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()
    slow = {"fast": CATALOG["fast"], "deep": replace(CATALOG["deep"], max_call_s=50.0)}
    short = replace(asker(journal, provider, 25.0 + CALL_MARGIN_S - 0.001), catalog=slow)
    with pytest.raises(OutOfTime):
        short.settle_all([ask(0), ask(1, "deep")])
    assert journal.log == []
    enough = replace(short, seconds_left=lambda: 25.0 + CALL_MARGIN_S)
    assert verdicts(enough.settle_all([ask(0), ask(1, "deep")])) == ["reply", "reply"]


def test_time_left_is_read_after_the_prompts_are_built() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()
    left = [CATALOG["fast"].max_call_s]

    def build_slowly(room: int) -> tuple[Message, ...]:
        left.append(left[-1] - 1.0)
        return ASKS[0].build(room)

    slow = replace(asker(journal, provider), seconds_left=lambda: left[-1])
    slow.settle_all([replace(each, build=build_slowly) for each in ASKS])
    assert {request.timeout_s for request in provider.requests} == {left[0] - 3.0 - CALL_MARGIN_S}


def test_undecided_steps_are_tried_again_in_sequence() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()
    failing = by_step(step1=Completion("unknown", error="timeout"), step2=Completion("unbilled", error="refused"))
    provider.enqueue(*[failing] * 3, Completion("succeeded", "at last", "end_turn"))
    settled = asker(journal, provider).settle_all(ASKS)
    assert verdicts(settled) == ["reply", "reply", "failed"]
    assert isinstance(settled[1], Attempt)
    assert settled[1].completion.text == "at last"
    assert [heard(request) for request in provider.requests[3:]] == ["step 1"]
    assert journal.log[-2:] == ["open", "close"]


def test_steps_in_the_journal_are_not_asked_again() -> None:
    known = Attempt(uuid4(), "fast", Completion("succeeded", "known", "end_turn"), None, "reply")
    tried = Attempt(uuid4(), "fast", Completion("unknown", error="timeout"), "timeout")
    journal, provider = MemoryJournal({0: [known], 1: [tried]}), ScriptedProvider()
    settled = asker(journal, provider).settle_all(ASKS)
    assert settled[0] is known
    assert [heard(request) for request in provider.requests] == ["step 1", "step 2"]
    # Each alone: one has been tried, and the other has nobody to go with.
    assert journal.log == ["open", "close", "open", "close"]


def test_outcomes_of_other_steps_are_kept_when_one_raises() -> None:
    journal, provider = MemoryJournal(), ScriptedProvider()

    def break_down() -> Completion:
        raise RuntimeError("step 0")

    provider.enqueue(*[by_step(step0=break_down)] * 3)
    with pytest.raises(RuntimeError, match="step 0"):
        asker(journal, provider).settle_all(ASKS)
    assert {attempt.completion.text for attempt in journal.closed} == {"step 1", "step 2"}


class TestCouncil:
    def hold(self, journal: MemoryJournal, *, parallel: bool) -> tuple[list[Reply], ScriptedProvider]:
        provider = ScriptedProvider()
        provider.enqueue(*[lambda request: f"I am {request.messages[0].text.split()[2]}"] * 3)
        roster = {key: Agent(key, 1, key.title(), "A role.", "fast", 256, None, enabled=True) for key in KEYS}
        talk = Conversation(MappingProxyType(roster), (), "Hello.", parallel=parallel)
        council = Council(talk, asker(journal, provider))
        council.plan(Plan(KEYS, "tags"))
        return list(council.ask_all(KEYS)), provider

    def test_parallel_agents_do_not_see_each_other_and_reply_in_plan_order(self) -> None:
        replies, provider = self.hold(MemoryJournal(), parallel=True)
        assert [heard(request) for request in provider.requests] == ["Hello."] * 3
        assert [(reply.position, reply.agent_key) for reply in replies] == list(enumerate(KEYS))
        assert [reply.text for reply in replies] == ["I am Writer,", "I am Researcher,", "I am Critic,"]

    def test_sequential_agents_see_the_replies_before_them(self) -> None:
        _, provider = self.hold(MemoryJournal(), parallel=False)
        assert [heard(request).count("I am") for request in provider.requests] == [0, 1, 2]

    def test_parallel_agents_beyond_the_budget_are_skipped(self) -> None:
        replies, _ = self.hold(MemoryJournal(holds=1), parallel=True)
        assert [reply.status for reply in replies] == ["completed", "skipped", "skipped"]

    def test_second_attempt_of_a_parallel_agent_does_not_see_the_others(self) -> None:
        journal = MemoryJournal()
        provider = ScriptedProvider()
        provider.enqueue("A.", "B.", Completion("unknown", error="timeout"), "C.")
        roster = {key: Agent(key, 1, key.title(), "A role.", "fast", 256, None, enabled=True) for key in KEYS}
        council = Council(Conversation(MappingProxyType(roster), (), "Hello.", parallel=True), asker(journal, provider))
        council.plan(Plan(KEYS, "tags"))
        assert {reply.text for reply in council.ask_all(KEYS)} == {"A.", "B.", "C."}
        assert [heard(request) for request in provider.requests] == ["Hello."] * 4
