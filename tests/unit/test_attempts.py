"""Tests which alias a step of a turn asks, how often, and when the step ends."""

from dataclasses import replace
from typing import get_args

import pytest

from shared.catalog import Model
from shared.domain.money import Usage, cost
from shared.domain.turn import SIZE_LIMIT, Verdict
from shared.llm.port import MAX_TEXT_BYTES, CallError, Completion
from shared.orchestration.next_alias import MOST_ADAPTIONS, next_alias
from shared.orchestration.steps import Attempt
from tests.support.asking import AGAIN, ASK, DEEP, ELSEWHERE, ERRORS, FAST, FINAL, ROOMS, Stage, attempt


def test_every_error_of_the_port_is_in_one_of_the_tables() -> None:
    assert set(ERRORS) == {*get_args(CallError), "empty_reply"}
    assert len(set(ERRORS)) == len(ERRORS)


class TestNextAlias:
    def test_next_alias_is_the_agents_own_at_first(self) -> None:
        assert next_alias(DEEP, []) == "deep"
        assert next_alias(FAST, []) == "fast"

    @pytest.mark.parametrize("model", [DEEP, FAST], ids=["fallback", "no fallback"])
    def test_next_alias_is_none_after_an_answer(self, model: Model) -> None:
        assert next_alias(model, [attempt(model, None)]) is None

    @pytest.mark.parametrize("error", AGAIN)
    def test_transient_error_is_tried_once_more_and_then_by_the_fallback(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, error)]) == "deep"
        assert next_alias(DEEP, [attempt(DEEP, error)] * 2) == "fast"
        assert next_alias(DEEP, [attempt(DEEP, error)] * 2 + [attempt(FAST, error)]) is None
        assert next_alias(FAST, [attempt(FAST, error)]) == "fast"
        assert next_alias(FAST, [attempt(FAST, error)] * 2) is None

    @pytest.mark.parametrize("error", ELSEWHERE)
    def test_alias_is_not_asked_again_after_a_permanent_error(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, error)]) == "fast"
        assert next_alias(DEEP, [attempt(DEEP, "timeout"), attempt(DEEP, error)]) == "fast"
        assert next_alias(FAST, [attempt(FAST, error)]) is None

    @pytest.mark.parametrize("adapted", [True, None], ids=["here", "in another process"])
    def test_adapted_request_does_not_count_as_a_second_try(self, adapted: bool | None) -> None:
        refused = adaption(DEEP, adapted)
        assert next_alias(DEEP, [refused]) == "deep"
        assert next_alias(DEEP, [refused, attempt(DEEP, "timeout")]) == "deep"
        assert next_alias(DEEP, [attempt(DEEP, "timeout"), refused]) == "deep"
        assert next_alias(DEEP, [refused] * MOST_ADAPTIONS) == "deep"
        assert next_alias(DEEP, [refused] * (MOST_ADAPTIONS + 1)) == "fast"
        assert next_alias(DEEP, [attempt(DEEP, "unavailable"), adaption(FAST, adapted)]) == "fast"

    @pytest.mark.parametrize("error", FINAL)
    def test_refusal_ends_the_step(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, error)]) is None
        assert next_alias(DEEP, [attempt(DEEP, "timeout"), attempt(DEEP, error)]) is None
        assert next_alias(FAST, [attempt(FAST, error)]) is None

    @pytest.mark.parametrize("error", ERRORS)
    def test_the_fallback_is_asked_once(self, error: str) -> None:
        assert next_alias(DEEP, [attempt(DEEP, "unavailable"), attempt(FAST, error)]) is None


def adaption(model: Model, adapted: bool | None) -> Attempt:
    refused = Completion("unbilled", error="invalid_parameter", adapted=adapted)
    return replace(attempt(model, "invalid_parameter"), completion=refused)


class TestSettle:
    @pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "no fallback"])
    @pytest.mark.parametrize("error", ERRORS)
    def test_step_without_an_answer_fails_with_its_last_attempt(
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
        assert isinstance(settled, Attempt)
        assert (settled.verdict, settled.model_alias, settled.completion.text) == ("reply", "deep", "An answer.")

    @pytest.mark.parametrize(("errors", "calls"), [(["unavailable"], 2), (["timeout", "empty_reply"], 3)])
    def test_the_fallback_may_carry_the_reply(
        self, monkeypatch: pytest.MonkeyPatch, errors: list[str], calls: int
    ) -> None:
        stage = Stage(monkeypatch).answers(*errors, None)
        settled = stage.asker.settle(ASK)
        assert isinstance(settled, Attempt)
        assert (settled.verdict, settled.model_alias, len(stage.asked)) == ("reply", "fast", calls)

    def test_answer_that_was_cut_at_its_cap_ends_the_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("succeeded", "An ans", "max_tokens"))
        settled = stage.asker.settle(ASK)
        assert isinstance(settled, Attempt)
        assert (settled.verdict, settled.error) == ("reply", None)

    @pytest.mark.parametrize("text", ["", " \n\t\r", "\u00a0\u2003\u2028", "\ufeff\u200b\u2060\u00ad", "\x01\x1b"])
    def test_invisible_text_counts_as_an_empty_reply(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        stage = Stage(monkeypatch)
        stage.provider.enqueue(Completion("succeeded", text, "end_turn"))
        stage.answers(None)
        stage.asker.settle(ASK)
        assert [closed.error for closed in stage.journal.closed] == ["empty_reply", None]

    def test_each_call_has_a_new_id_and_equals_its_journal_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
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


class TestSize:
    @pytest.mark.parametrize("letter", ["a", "é", "王", "😀", "\x01"])
    def test_answer_is_cut_at_the_byte_limit_between_characters(
        self, monkeypatch: pytest.MonkeyPatch, letter: str
    ) -> None:
        settled = settle(monkeypatch, Completion("succeeded", "!" + letter * MAX_TEXT_BYTES, "end_turn"))
        text = settled.completion.text
        assert "!" + letter * MAX_TEXT_BYTES == text + letter * (MAX_TEXT_BYTES + 1 - len(text))
        assert MAX_TEXT_BYTES - 4 < len(text.encode()) <= MAX_TEXT_BYTES
        assert (settled.completion.stop_reason, settled.verdict) == (SIZE_LIMIT, "reply")

    def test_answer_of_exactly_the_byte_limit_is_not_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Completion("succeeded", "a" * MAX_TEXT_BYTES, "max_tokens", Usage(3, 4))
        assert settle(monkeypatch, whole).completion == whole

    def test_cut_answer_costs_the_tokens_that_the_provider_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = Usage(10, 1_000_000)
        settled = settle(monkeypatch, Completion("succeeded", "a" * 3_000_000, "end_turn", usage))
        assert settled.completion.usage == usage
        assert settled.cost_usd == cost(DEEP.rates, usage)

    def test_withheld_answer_stays_withheld_when_it_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settled = settle(monkeypatch, Completion("succeeded", "a" * 3_000_000, "content_filtered"))
        assert (settled.error, settled.verdict) == ("content_filtered", "failed")
        assert len(settled.completion.text) == MAX_TEXT_BYTES

    def test_answer_is_cut_after_it_is_made_storable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settled = settle(monkeypatch, Completion("succeeded", "\x00" * MAX_TEXT_BYTES, "end_turn"))
        assert settled.completion.text == "\ufffd" * (MAX_TEXT_BYTES // 3)


def settle(monkeypatch: pytest.MonkeyPatch, completion: Completion) -> Attempt:
    """The attempt that settles the step which is answered so."""
    stage = Stage(monkeypatch)
    stage.provider.enqueue(completion)
    settled = stage.asker.settle(ASK)
    assert isinstance(settled, Attempt)
    assert settled is stage.journal.closed[-1]
    return settled


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
    def test_step_counts_the_attempts_in_the_journal(
        self, monkeypatch: pytest.MonkeyPatch, known: list[Attempt], asked: list[str]
    ) -> None:
        stage = Stage(monkeypatch, *known).answers(*["timeout"] * 5)
        settled = stage.asker.settle(ASK)
        assert stage.asked == asked
        assert isinstance(settled, Attempt)
        assert settled.verdict == "failed"

    @pytest.mark.parametrize(
        "known",
        [
            [attempt(DEEP, "timeout"), attempt(DEEP, "timeout"), attempt(FAST, "timeout")],
            [attempt(DEEP, "refused")],
        ],
        ids=["used up", "final"],
    )
    def test_step_fails_without_a_call_when_no_attempt_is_left(
        self, monkeypatch: pytest.MonkeyPatch, known: list[Attempt]
    ) -> None:
        stage = Stage(monkeypatch, *known, seconds_left=0.0)
        assert stage.asker.settle(ASK) == replace(known[-1], verdict="failed")
        assert stage.journal.log == []
