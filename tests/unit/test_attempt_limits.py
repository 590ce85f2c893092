"""Tests the limits of one step of a turn: prompt size, pauses, time and budget."""

from dataclasses import replace

import pytest

from shared.catalog import CALL_MARGIN_S
from shared.domain.money import Usage
from shared.llm.port import Completion, Message
from shared.llm.tokens import estimate_tokens
from shared.orchestration.attempts import OutOfTime
from shared.orchestration.steps import Attempt, Refused
from tests.support.asking import ASK, DEEP, ERRORS, FAST, ROOMS, Stage, attempt, completion


class TestOverflow:
    def test_a_prompt_that_is_too_long_is_sent_once_more_with_half_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("context_overflow", None)
        settled = stage.asker.settle(ASK)
        first, second = (estimate_tokens(request.messages) for request in stage.provider.requests)
        assert second == pytest.approx(first / 2, rel=0.02)
        assert isinstance(settled, Attempt)
        assert (settled.verdict, settled.model_alias) == ("reply", "deep")

    def test_prompt_of_the_fallback_alias_fits_into_its_own_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("context_overflow", "context_overflow", None)
        stage.asker.settle(ASK)
        assert stage.asked == ["deep", "deep", "fast"]
        assert stage.provider.requests[2].messages[0].text.startswith(f"{ROOMS['fast']} tokens")

    def test_prompt_is_halved_when_another_process_met_the_overflow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, attempt(DEEP, "context_overflow")).answers(None)
        stage.asker.settle(ASK)
        (request,) = stage.provider.requests
        assert estimate_tokens(request.messages) == pytest.approx(ROOMS["deep"] / 2, rel=0.02)

    def test_later_step_uses_the_corrected_estimate_after_an_overflow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        short = replace(ASK, build=lambda room: (Message("user", "x" * 3 * (room // 4)),))
        stage = Stage(monkeypatch).answers("context_overflow", None)
        stage.asker.settle(short)
        assert stage.asker.estimates.room(DEEP, 300) < ROOMS["deep"] / 2

    def test_a_window_that_the_provider_names_bounds_later_prompts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="context_overflow", context_window=4000))
        stage.answers(None)
        stage.asker.settle(ASK)
        assert stage.asker.estimates.window(DEEP) == 4000
        assert stage.asker.estimates.room(DEEP, 300) <= 4000 - 300
        assert stage.asker.estimates.window(FAST) == FAST.context_window

    @pytest.mark.parametrize("named", [10_000_000, 8193, 300, 0])
    def test_window_is_unchanged_when_the_named_number_is_not_smaller(
        self, monkeypatch: pytest.MonkeyPatch, named: int
    ) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="context_overflow", context_window=named))
        stage.asker.settle(ASK)
        assert stage.asker.estimates.window(DEEP) == DEEP.context_window

    def test_a_count_corrects_the_estimate_of_its_alias(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        counted = Usage(input_tokens=10_000, cache_read_tokens=1000, cache_write_tokens=745)
        stage.provider.enqueue(Completion("succeeded", "An answer.", "end_turn", counted))
        stage.asker.settle(ASK)
        assert stage.asker.estimates.room(DEEP, 300) == pytest.approx(ROOMS["deep"] / 1.5, rel=0.01)
        assert stage.asker.estimates.room(FAST, 256) == ROOMS["fast"]


class TestPause:
    @pytest.mark.parametrize(("retry_after", "pause"), [(None, 0.5), (0.0, 0.5), (0.25, 0.25), (2.0, 2.0)])
    def test_short_pause_for_a_throttled_provider_follows_the_intent(
        self, monkeypatch: pytest.MonkeyPatch, retry_after: float | None, pause: float
    ) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=retry_after))
        stage.answers(None)
        stage.asker.settle(ASK)
        assert stage.slept == [pause]
        # The scripted outcome itself leaves no mark.
        assert stage.journal.log == ["open", "close", "open", "sleep", "complete", "close"]

    @pytest.mark.parametrize("retry_after", [2.1, 6.0, 30.0])
    def test_a_long_pause_comes_before_the_intent_and_after_the_outcome_is_written(
        self, monkeypatch: pytest.MonkeyPatch, retry_after: float
    ) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=retry_after))
        stage.answers(None)
        stage.asker.settle(ASK)
        assert stage.asked == ["deep", "deep"]
        assert stage.slept == [retry_after]
        assert stage.journal.log == ["open", "close", "flush", "sleep", "open", "complete", "close"]

    def test_the_fallback_is_asked_at_once_when_the_pause_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=30.1))
        stage.answers(None)
        settled = stage.asker.settle(ASK)
        assert isinstance(settled, Attempt)
        assert (stage.asked, stage.slept, settled.verdict) == (["deep", "fast"], [], "reply")

    def test_a_pause_that_is_too_long_ends_the_step_without_a_fallback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, deep=replace(DEEP, fallback_alias=None))
        stage.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=30.1))
        settled = stage.asker.settle(ASK)
        assert isinstance(settled, Attempt)
        assert (stage.asked, settled.error, settled.verdict) == (["deep"], "throttled", "failed")

    def test_the_fallback_does_not_wait_for_the_alias_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch).answers("throttled", "throttled", None)
        stage.asker.settle(ASK)
        assert (stage.asked, stage.slept) == (["deep", "deep", "fast"], [0.5])

    @pytest.mark.parametrize(("passed", "pause"), [(0.0, 6.0), (4.0, 2.0), (5.5, 0.5), (6.0, None), (60.0, None)])
    def test_pause_counts_from_the_answer_when_another_process_received_it(
        self, monkeypatch: pytest.MonkeyPatch, passed: float, pause: float | None
    ) -> None:
        answer = replace(completion("throttled"), retry_after_s=6.0)
        stage = Stage(monkeypatch, replace(attempt(DEEP, "throttled"), completion=answer, ended=100.0))
        stage.now = 100.0 + passed
        stage.asker.settle(ASK)
        assert stage.slept == ([] if pause is None else [pause])

    def test_process_that_ends_before_the_pause_returns_the_time_to_go_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = replace(completion("throttled"), retry_after_s=6.0)
        stage = Stage(monkeypatch, replace(attempt(DEEP, "throttled"), completion=answer))
        with pytest.raises(OutOfTime) as caught:
            replace(stage.asker, longest_pause_s=5.9).settle(ASK)
        assert (caught.value.wait_s, stage.slept, stage.journal.log) == (6.0, [], [])
        replace(stage.asker, longest_pause_s=6.0).settle(ASK)
        assert stage.slept == [6.0]

    @pytest.mark.parametrize("error", [error for error in ERRORS if error != "throttled"])
    def test_step_does_not_pause_for_other_errors(self, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
        stage = Stage(monkeypatch).answers(error, error, None)
        stage.asker.settle(ASK)
        assert stage.slept == []


class TestTime:
    # At least half of a call's own time.
    NEEDED = DEEP.max_call_s / 2 + CALL_MARGIN_S

    def test_call_is_made_when_it_just_fits_into_the_time_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED)
        assert isinstance(stage.asker.settle(ASK), Attempt)

    def test_call_that_does_not_fit_into_the_time_left_is_not_in_the_journal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED - 0.001)
        with pytest.raises(OutOfTime):
            stage.asker.settle(ASK)
        assert stage.journal.log == []
        assert stage.provider.requests == []

    @pytest.mark.parametrize(
        ("left", "limit"),
        [
            (DEEP.max_call_s + 100.0, None),
            (DEEP.max_call_s, None),
            (DEEP.max_call_s - 0.001, DEEP.max_call_s - 0.001),
            (DEEP.max_call_s / 2, DEEP.max_call_s / 2),
        ],
    )
    def test_call_gets_at_most_the_time_left(
        self, monkeypatch: pytest.MonkeyPatch, left: float, limit: float | None
    ) -> None:
        stage = Stage(monkeypatch, seconds_left=left + CALL_MARGIN_S)
        stage.asker.settle(ASK)
        assert [request.timeout_s for request in stage.provider.requests] == [pytest.approx(limit) if limit else None]
        assert [request.limit_s for request in stage.provider.requests] == [pytest.approx(limit or DEEP.max_call_s)]

    def test_call_needs_time_for_its_pause_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        throttled = attempt(DEEP, "throttled")
        assert isinstance(Stage(monkeypatch, throttled, seconds_left=self.NEEDED + 0.5).asker.settle(ASK), Attempt)
        stage = Stage(monkeypatch, throttled, seconds_left=self.NEEDED + 0.499)
        with pytest.raises(OutOfTime) as caught:
            stage.asker.settle(ASK)
        assert (stage.journal.log, caught.value.wait_s) == ([], 0.5)

    def test_call_needs_the_time_limit_of_the_alias_that_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = replace(DEEP, max_call_s=100.0)
        stage = Stage(
            monkeypatch, attempt(slow, "unavailable"), deep=slow, seconds_left=FAST.max_call_s / 2 + CALL_MARGIN_S
        )
        settled = stage.asker.settle(ASK)
        assert isinstance(settled, Attempt)
        assert settled.model_alias == "fast"

    def test_answer_is_kept_when_time_runs_out_after_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, seconds_left=self.NEEDED + 0.4).answers("throttled")
        with pytest.raises(OutOfTime):
            stage.asker.settle(ASK)
        assert stage.journal.log == ["open", "complete", "close"]


class TestBudget:
    def test_refused_hold_ends_the_step_without_a_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, holds=0)
        assert stage.asker.settle(ASK) == Refused("budget_exceeded")
        assert stage.journal.log == ["open"]
        assert stage.provider.requests == []

    def test_refused_hold_of_the_second_attempt_ends_the_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch, holds=1).answers("timeout")
        assert stage.asker.settle(ASK) == Refused("budget_exceeded")
        assert [(a.error, a.verdict) for a in stage.journal.closed] == [("timeout", None)]
