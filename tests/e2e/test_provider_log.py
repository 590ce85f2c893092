"""Compares the provider's own log with the journal, the ledger and the cost in the answer.

Every request that reached the provider is one call and one post, with the same tokens.
"""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from shared.db.engine import Row
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.stack.tenant import Tenant

MILLION = 1_000_000


@dataclass(frozen=True)
class Case:
    """The answers to the second of three agents before the provider behaves as usual, and their results.

    The results are each call's outcome with the account that bears it, and the reply's error code, or None with its
    text.
    """

    moods: list[Mood]
    outcomes: list[tuple[str, str]]
    error: str | None
    text: str | None = None
    stop_reason: str | None = None


PAID = ("succeeded", "tenant")
WASTED = ("succeeded", "platform")
FREE = ("unbilled", "platform")
IN_SUSPENSE = ("unknown", "suspense")

CASES = {
    "500 twice": Case([moods.status(500)] * 2, [IN_SUSPENSE] * 2, "provider_error"),
    "500 and then an answer": Case([moods.status(503)], [IN_SUSPENSE, PAID], None),
    "408 and then an answer": Case([moods.status(408)], [IN_SUSPENSE, PAID], None),
    "429 twice": Case([moods.status(429, retry_after=0)] * 2, [FREE] * 2, "throttled"),
    "429 and then an answer": Case([moods.status(429)], [FREE, PAID], None),
    "400": Case([moods.status(400)], [FREE], "refused"),
    "empty text twice": Case([moods.empty()] * 2, [WASTED] * 2, "empty_reply"),
    "empty text and then an answer": Case([moods.empty()], [WASTED, PAID], None),
    "invalid UTF-8": Case([moods.invalid_utf8()], [PAID], None, "caf\ufffd \ufffd\ufffd!"),
    "NUL": Case([moods.nul()], [PAID], None, "before\ufffdafter"),
    "NUL as a bare byte": Case([moods.raw_nul()], [PAID], None, "before\ufffdafter"),
    "a lone surrogate": Case([moods.lone_surrogate()], [PAID], None, "before\ufffdafter"),
    "cut at the cap": Case([moods.length("Cut in the")], [PAID], None, "Cut in the", "max_tokens"),
    "filtered": Case([moods.content_filter("Half of")], [WASTED], "content_filtered"),
    "refused in words": Case([moods.refusal()], [WASTED], "content_filtered"),
    "no usage": Case([moods.no_usage()] * 2, [IN_SUSPENSE] * 2, "malformed_response"),
    "a page of HTML": Case([moods.html_200()] * 2, [IN_SUSPENSE] * 2, "malformed_response"),
    "half of an answer": Case([moods.cut_short()] * 2, [IN_SUSPENSE] * 2, "connection_lost"),
    "a reset": Case([moods.reset_before_answer()] * 2, [IN_SUSPENSE] * 2, "connection_lost"),
    "a close": Case([moods.close_without_answer()] * 2, [IN_SUSPENSE] * 2, "connection_lost"),
}


def assert_log_and_ledger_agree(tenant: Tenant, turn: dict[str, Any]) -> list[Row]:
    """Compare each call of the turn with the provider's log, the ledger, the rates and the answer. Returns the
    calls.
    """
    calls = tenant.calls(turn["id"])
    by_id = {request.client_request_id: request for request in tenant.requests}
    assert list(by_id) == [str(call["call_id"]) for call in calls]
    assert len(by_id) == len(tenant.requests)
    for call in calls:
        request = by_id[str(call["call_id"])]
        assert (request.model, request.authorization) == (call["model_id"], "Bearer sk-of-the-tests")
        if request.status == 200 and request.usage:
            tokens = (request.usage["prompt_tokens"], request.usage["completion_tokens"])
            assert (call["input_tokens"], call["output_tokens"]) == tokens
            rates = {name: Decimal(rate) for name, rate in call["rates"].items()}
            assert call["cost_usd"] == (tokens[0] * rates["input"] + tokens[1] * rates["output"]) / MILLION > 0
        elif call["status"] == "unknown":
            assert call["cost_usd"] == call["reserve_usd"] > 0
        else:
            assert (call["status"], call["cost_usd"]) == ("unbilled", 0)
        assert (call["posted_input"], call["posted_output"]) == (call["input_tokens"], call["output_tokens"])
        assert call["amount_usd"] == call["cost_usd"]
    assert Decimal(turn["cost_usd"]) == total(calls, "tenant")
    assert Decimal(turn["platform_cost_usd"]) == total(calls, "platform")
    for name in ("input_tokens", "output_tokens"):
        assert turn["usage"][name] == sum(call[name] for call in calls)
    return calls


def total(calls: list[Row], account: str) -> Decimal:
    return sum((call["amount_usd"] for call in calls if call["account"] == account), Decimal(0))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outcome_of_one_of_three_agents_is_on_the_ledger_and_the_others_answer(
    tenant: Tenant, session_id: str, provider: FakeProvider, case: Case
) -> None:
    for mood in case.moods:
        provider.add(mood, when="You are Researcher,")
    turn = tenant.take(session_id, "@writer @researcher @critic hello")
    calls = assert_log_and_ledger_agree(tenant, turn)
    assert [(call["status"], call["account"]) for call in calls] == [PAID, *case.outcomes, PAID]

    writer, researcher, critic = turn["replies"]
    assert turn["status"] == writer["status"] == critic["status"] == "completed"
    if case.error is None:
        assert (researcher["status"], researcher["error"]) == ("completed", None)
        assert researcher["text"] == (case.text or f"You said: {writer['text']}")
        assert researcher["stop_reason"] == (case.stop_reason or "end_turn")
        assert critic["text"] == f"You said: {researcher['text']}"
    else:
        assert (researcher["status"], researcher["error"]["code"]) == ("failed", case.error)
        assert (researcher["text"], researcher["cost_usd"]) == (None, "0")
        # The next agent hears nothing of the failed agent and its error.
        assert critic["text"] == f"You said: {writer['text']}"
        assert turn["output"] == f"Writer: {writer['text']}\n\nCritic: {critic['text']}"
    assert tenant.http.get(f"turns/{turn['id']}").json() == turn


def test_endless_answer_is_in_suspense_and_the_rest_of_the_turn_is_handed_over(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.trickle_body(), when="You are Researcher,")
    provider.add(moods.trickle_headers(), when="You are Researcher,")
    posted = tenant.post(session_id, "@writer @researcher @critic hello")
    # Both calls ran until their limit, and a third does not fit into the client's time.
    assert posted.status_code == 202
    turn = tenant.wait_for(posted.json()["id"])
    calls = assert_log_and_ledger_agree(tenant, turn)
    assert [(call["status"], call["account"]) for call in calls] == [PAID, IN_SUSPENSE, IN_SUSPENSE, PAID]
    assert [reply["status"] for reply in turn["replies"]] == ["completed", "failed", "completed"]
    assert turn["replies"][1]["error"]["code"] == "timeout"


def test_alias_is_replaced_by_its_fallback_after_two_failures(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("planner", model_alias="deep")
    provider.add(moods.status(500), times=2)
    turn = tenant.take(tenant.make_session("planner"), "hello")
    calls = assert_log_and_ledger_agree(tenant, turn)
    assert [(call["model_alias"], call["account"]) for call in calls] == [
        ("deep", "suspense"),
        ("deep", "suspense"),
        ("fast", "tenant"),
    ]
    assert turn["model_alias_used"] == turn["replies"][0]["model_alias"] == "fast"


def test_ledger_has_every_call_when_no_agent_answers(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    provider.add(moods.status(500), when="You are Writer,", times=None)
    provider.add(moods.empty(), when="You are Researcher,", times=None)
    turn = tenant.take(session_id, "@writer @researcher hello")
    calls = assert_log_and_ledger_agree(tenant, turn)
    assert Counter(call["account"] for call in calls) == {"suspense": 2, "platform": 2}
    assert (turn["status"], turn["error"]["code"], turn["output"]) == ("failed", "no_reply", "")
    assert (turn["cost_usd"], turn["model_alias_used"]) == ("0", None)


def test_tokens_of_each_class_have_their_own_rate(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
    provider.add(moods.ok("Counted.", usage=usage))
    turn = tenant.take(session_id, "hello")
    assert turn["usage"] == {
        "input_tokens": 600,
        "output_tokens": 200,
        "cache_read_tokens": 400,
        "cache_write_tokens": 0,
        "reasoning_tokens": 300,
    }
    rates = {name: Decimal(rate) for name, rate in tenant.http.get("models").json()["items"][0]["rates"].items()}
    cost = 600 * rates["input"] + 400 * rates["cache_read"] + 200 * rates["output"] + 300 * rates["reasoning"]
    assert Decimal(turn["cost_usd"]) == cost / MILLION
    assert tenant.calls(turn["id"])[0]["amount_usd"] == cost / MILLION
