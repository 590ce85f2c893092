"""One step of a turn: which alias is asked, how often, and what ends it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import get_args
from uuid import uuid4

import pytest

from shared.catalog import CALL_MARGIN_S, Model, build
from shared.domain.money import Usage
from shared.domain.turn import Verdict
from shared.llm.port import CallError, CallStatus, Completion, Message, Request
from shared.llm.scripted import ScriptedProvider
from shared.llm.tokens import REQUEST_OVERHEAD, estimate_tokens
from shared.orchestration.attempts import Ask, Asker, Attempt, OutOfTime, next_alias
from shared.settings import Settings
from tests.unit.memory_journal import MemoryJournal

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
ELSEWHERE = ("unavailable",)
FINAL = ("refused", "content_filtered")
ERRORS = (*AGAIN, *ELSEWHERE, *FINAL)

_STATUS: Mapping[str, CallStatus] = dict.fromkeys(
    ("throttled", "unavailable", "refused", "context_overflow"), "unbilled"
)
# What the messages of each alias may take: the window less the agent's cap, or the model's own, and the overhead.
ROOMS = {"deep": 8192 - 300 - REQUEST_OVERHEAD, "fast": 8192 - 256 - REQUEST_OVERHEAD}


def completion(error: str | None) -> Completion:
    """What a provider answers for this error to be the attempt's."""
    match error:
        case None:
            return Completion("succeeded", "An answer.", "end_turn")
        case "empty_reply":
            return Completion("succeeded", " \n", "end_turn")
        case "content_filtered":
            return Completion("succeeded", "An ans", "content_filtered")
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
        monkeypatch.setattr("shared.orchestration.attempts.time", SimpleNamespace(sleep=self._sleep))

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


def test_every_error_of_the_port_is_in_one_of_the_tables() -> None:
    assert set(ERRORS) == {*get_args(CallError), "empty_reply", "content_filtered"}
    assert len(set(ERRORS)) == len(ERRORS)


class TestNextAlias:
    def test_the_agents_own_alias_comes_first(self) -> None:
        assert next_alias(DEEP, []) == "deep"
        assert next_alias(FAST, []) == "fast"

    @pytest.mark.parametrize("model", [DEEP, FAST], ids=["fallback", "no fallback"])
    def test_an_answer_ends_the_step(self, model: Model) -> None:
        assert next_alias(model, [attempt(model, None)]) is None

    @pytest.mark.parametrize("error", AGAIN)
    def test_what_may_pass_is_tried_once_more_and_then_by_the_fallback(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, error)]) == "deep"
        assert next_alias(DEEP, [attempt(DEEP, error)] * 2) == "fast"
        assert next_alias(DEEP, [attempt(DEEP, error)] * 2 + [attempt(FAST, error)]) is None
        assert next_alias(FAST, [attempt(FAST, error)]) == "fast"
        assert next_alias(FAST, [attempt(FAST, error)] * 2) is None

    def test_who_cannot_be_reached_is_not_asked_again(self) -> None:
        assert next_alias(DEEP, [attempt(DEEP, "unavailable")]) == "fast"
        assert next_alias(DEEP, [attempt(DEEP, "timeout"), attempt(DEEP, "unavailable")]) == "fast"
        assert next_alias(FAST, [attempt(FAST, "unavailable")]) is None

    @pytest.mark.parametrize("error", FINAL)
    def test_a_refusal_is_final(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, error)]) is None
        assert next_alias(DEEP, [attempt(DEEP, "timeout"), attempt(DEEP, error)]) is None
        assert next_alias(FAST, [attempt(FAST, error)]) is None

    @pytest.mark.parametrize("error", ERRORS)
    def test_the_fallback_is_asked_once(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, "unavailable"), attempt(FAST, error)]) is None


class TestSettle:
    @pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "no fallback"])
    @pytest.mark.parametrize("error", ERRORS)
    def test_a_step_that_never_gets_an_answer_fails_with_its_last_attempt(
        self, monkeypatch: pytest.MonkeyPatch, error: str, fallback: bool
    ) -> None:
        deep = DEEP if fallback else replace(DEEP, fallback_alias=None)
        stage = Stage(monkeypatch, deep=deep).answers(*[error] * 5)
        settled = stage.asker.settle(ASK)
        expected = ["deep", "deep"] if error in AGAIN else ["deep"]
        assert stage.asked == expected + ["fast"] * (fallback and error not in FINAL)
        assert settled is stage.journal.closed[-1]
        assert [(a.error, a.verdict) for a in stage.journal.closed[:-1]] == [(error, None)] * (len(stage.asked) - 1)
        assert (settled.error, settled.verdict) == (error, "failed")

    @pytest.mark.parametrize("error", AGAIN)
    def test_the_second_attempt_may_carry_the_reply(self, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
        stage = Stage(monkeypatch).answers(error, None)
        settled = stage.asker.settle(ASK)
        assert stage.asked == ["deep", "deep"]
        assert settled is not None
        assert (settled.verdict, settled.model_alias, settled.completion.text) == ("reply", "deep", "An answer.")

    @pytest.mark.parametrize(("errors", "calls"), [(["unavailable"], 2), (["timeout", "empty_reply"], 3)])
    def test_the_fallback_may_carry_the_reply(
        self, monkeypatch: pytest.MonkeyPatch, errors: list[str], calls: int
    ) -> None:
        stage = Stage(monkeypatch).answers(*errors, None)
        settled = stage.asker.settle(ASK)
        assert settled is not None
        assert (settled.verdict, settled.model_alias, len(stage.asked)) == ("reply", "fast", calls)

    def test_an_answer_that_was_cut_at_its_cap_is_an_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("succeeded", "An ans", "max_tokens"))
        settled = stage.asker.settle(ASK)
        assert settled is not None
        assert (settled.verdict, settled.error) == ("reply", None)

    def test_each_call_is_a_new_one_and_is_what_the_journal_was_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("timeout", "timeout", None)
        stage.asker.settle(ASK)
        requests = stage.provider.requests
        assert requests == stage.journal.opened
        assert len({request.call_id for request in requests}) == 3
        assert [request.messages[0].text.rstrip("x") for request in requests] == [
            f"{ROOMS[alias]} tokens: " for alias in ("deep", "deep", "fast")
        ]
        assert {(request.turn_id, request.temperature) for request in requests} == {(str(stage.asker.turn_id), 0.5)}
        # The agent's cap or the model's, whichever is lower.
        assert [request.max_output_tokens for request in requests] == [300, 300, FAST.max_output_tokens]


class TestOverflow:
    def test_a_prompt_that_is_too_long_is_sent_once_more_with_half_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("context_overflow", None)
        settled = stage.asker.settle(ASK)
        first, second = (estimate_tokens(request.messages) for request in stage.provider.requests)
        assert second == pytest.approx(first / 2, rel=0.02)
        assert settled is not None
        assert (settled.verdict, settled.model_alias) == ("reply", "deep")

    def test_the_fallback_alias_is_sent_what_its_own_window_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("context_overflow", "context_overflow", None)
        stage.asker.settle(ASK)
        assert stage.asked == ["deep", "deep", "fast"]
        assert stage.provider.requests[2].messages[0].text.startswith(f"{ROOMS['fast']} tokens")

    def test_an_overflow_that_another_process_met_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, attempt(DEEP, "context_overflow")).answers(None)
        stage.asker.settle(ASK)
        (request,) = stage.provider.requests
        assert estimate_tokens(request.messages) == pytest.approx(ROOMS["deep"] / 2, rel=0.02)

    def test_a_later_step_knows_that_the_estimate_was_too_low(self, monkeypatch: pytest.MonkeyPatch) -> None:
        short = replace(ASK, build=lambda room: (Message("user", "x" * 3 * (room // 4)),))
        stage = Stage(monkeypatch).answers("context_overflow", None)
        stage.asker.settle(short)
        assert stage.asker.estimates.room(DEEP, 300) < ROOMS["deep"] / 2

    def test_a_count_corrects_the_estimate_of_its_alias(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        counted = Usage(input_tokens=10_000, cache_read_tokens=1000, cache_write_tokens=745)
        stage.provider.enqueue(Completion("succeeded", "An answer.", "end_turn", counted))
        stage.asker.settle(ASK)
        assert stage.asker.estimates.room(DEEP, 300) == pytest.approx(ROOMS["deep"] / 1.5, rel=0.01)
        assert stage.asker.estimates.room(FAST, 256) == ROOMS["fast"]


class TestResume:
    @pytest.mark.parametrize("verdict", ["reply", "failed"])
    def test_a_step_with_a_verdict_is_not_asked_again(self, monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
        known = attempt(DEEP, None if verdict == "reply" else "refused", verdict)
        stage = Stage(monkeypatch, attempt(DEEP, "timeout"), known, seconds_left=0.0)
        assert stage.asker.settle(ASK) is known
        assert stage.journal.log == []

    @pytest.mark.parametrize(
        ("known", "asked"),
        [
            ([], ["deep", "deep", "fast"]),
            ([attempt(DEEP, "timeout")], ["deep", "fast"]),
            ([attempt(DEEP, "timeout"), attempt(DEEP, "empty_reply")], ["fast"]),
            ([attempt(DEEP, "unavailable")], ["fast"]),
        ],
        ids=["none", "one", "two", "unreachable"],
    )
    def test_attempts_that_the_journal_knows_count(
        self, monkeypatch: pytest.MonkeyPatch, known: list[Attempt], asked: list[str]
    ) -> None:
        stage = Stage(monkeypatch, *known).answers(*["timeout"] * 5)
        settled = stage.asker.settle(ASK)
        assert stage.asked == asked
        assert settled is not None
        assert settled.verdict == "failed"

    @pytest.mark.parametrize(
        "known",
        [
            [attempt(DEEP, "timeout"), attempt(DEEP, "timeout"), attempt(FAST, "timeout")],
            [attempt(DEEP, "refused")],
        ],
        ids=["used up", "final"],
    )
    def test_where_nothing_is_left_to_try_the_step_has_failed(
        self, monkeypatch: pytest.MonkeyPatch, known: list[Attempt]
    ) -> None:
        stage = Stage(monkeypatch, *known, seconds_left=0.0)
        assert stage.asker.settle(ASK) == replace(known[-1], verdict="failed")
        assert stage.journal.log == []


class TestPause:
    @pytest.mark.parametrize(("retry_after", "pause"), [(None, 0.5), (0.0, 0.5), (0.25, 0.25), (2.0, 2.0), (60.0, 2.0)])
    def test_a_throttled_provider_is_given_a_moment_after_the_intent(
        self, monkeypatch: pytest.MonkeyPatch, retry_after: float | None, pause: float
    ) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=retry_after))
        stage.answers(None)
        stage.asker.settle(ASK)
        assert stage.slept == [pause]
        # The scripted outcome itself leaves no mark.
        assert stage.journal.log == ["open", "close", "open", "sleep", "complete", "close"]

    @pytest.mark.parametrize("error", [error for error in ERRORS if error != "throttled"])
    def test_nothing_else_is_waited_for(self, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
        stage = Stage(monkeypatch).answers(error, error, None)
        stage.asker.settle(ASK)
        assert stage.slept == []


class TestTime:
    NEEDED = DEEP.max_call_s + CALL_MARGIN_S

    def test_a_call_that_just_fits_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED)
        assert stage.asker.settle(ASK) is not None

    def test_a_call_that_would_not_fit_leaves_no_trace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED - 0.001)
        with pytest.raises(OutOfTime):
            stage.asker.settle(ASK)
        assert stage.journal.log == []
        assert stage.provider.requests == []

    def test_the_pause_has_to_fit_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        throttled = attempt(DEEP, "throttled")
        assert Stage(monkeypatch, throttled, seconds_left=self.NEEDED + 0.5).asker.settle(ASK) is not None
        stage = Stage(monkeypatch, throttled, seconds_left=self.NEEDED + 0.499)
        with pytest.raises(OutOfTime):
            stage.asker.settle(ASK)
        assert stage.journal.log == []

    def test_the_clock_of_the_alias_that_is_asked_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = replace(DEEP, max_call_s=100.0)
        stage = Stage(
            monkeypatch, attempt(slow, "unavailable"), deep=slow, seconds_left=FAST.max_call_s + CALL_MARGIN_S
        )
        settled = stage.asker.settle(ASK)
        assert settled is not None
        assert settled.model_alias == "fast"

    def test_what_was_answered_before_time_ran_out_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED + 0.4).answers("throttled")
        with pytest.raises(OutOfTime):
            stage.asker.settle(ASK)
        assert stage.journal.log == ["open", "complete", "close"]


class TestBudget:
    def test_a_refused_hold_ends_the_step_without_a_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, holds=0)
        assert stage.asker.settle(ASK) is None
        assert stage.journal.log == ["open"]
        assert stage.provider.requests == []

    def test_so_does_one_that_is_refused_to_the_second_attempt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, holds=1).answers("timeout")
        assert stage.asker.settle(ASK) is None
        assert [(a.error, a.verdict) for a in stage.journal.closed] == [("timeout", None)]
