"""Tests a call of the journal in memory: its outcome, its account and its figures."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.json_text import json_text
from shared.domain.money import ZERO, Usage
from shared.domain.outcome import CallFigures
from shared.domain.turn import Charge, Verdict
from shared.llm.port import Completion, Message, Request
from shared.orchestration.steps import Ask
from shared.turns.call import PLATFORM_PAYER, Call, call_from_row, new_call
from shared.turns.journal import _hash
from tests.support.asking import FAST, completion

TENANT = "tenant:t"
# 310 tokens at 0.10, 0.40, 0.01, 0.125 and 0.40 USD per million.
USAGE, COST = Usage(100, 20, 50, 70, 70), Decimal("0.00005525")
MESSAGES = (Message("system", "You are the writer."), Message("user", "hello"))
ASK = Ask(3, "agent", "fast", 100, None, lambda _: MESSAGES)
REQUEST = Request(str(uuid4()), str(uuid4()), FAST, MESSAGES, 100)


def opened(payer: str = TENANT) -> Call:
    return replace(new_call(ASK, REQUEST, 2), payer=payer)


def ended(error: str | None, verdict: Verdict | None, payer: str = TENANT) -> Call:
    """Return an ended call; each billed call has the same tokens."""
    came = completion(error)
    usage = USAGE if came.status == "succeeded" else Usage()
    return opened(payer).finished(replace(came, usage=usage), error, verdict)


def throttled() -> Call:
    return opened().finished(replace(completion("throttled"), retry_after_s=6.0), "throttled", None)


RESERVE = opened().reserve_usd


@pytest.mark.parametrize(
    ("call", "charge"),
    [
        (ended(None, "reply"), Charge("tenant", USAGE, COST)),
        (ended(None, "reply", PLATFORM_PAYER), Charge("platform", USAGE, COST)),
        (ended("empty_reply", None), Charge("platform", USAGE, COST)),
        (ended("empty_reply", "failed"), Charge("platform", USAGE, COST)),
        (ended("refused", "failed"), Charge("platform", Usage(), ZERO)),
        (ended("timeout", None), Charge("suspense", Usage(), RESERVE)),
        (opened(), Charge("suspense", Usage(), RESERVE)),
        (opened(PLATFORM_PAYER), Charge("suspense", Usage(), RESERVE)),
    ],
    ids=["reply", "of the platform", "superseded", "failed", "unbilled", "unknown", "died", "died of the platform"],
)
def test_account_of_a_call_is_the_payer_suspense_or_the_platform_by_its_outcome(call: Call, charge: Charge) -> None:
    assert call.charge() == charge


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        (ended(None, "reply"), True),
        (ended("timeout", "failed"), True),
        (ended("timeout", None), True),
        # It came when the turn was another's.
        (ended(None, None), False),
        (opened(), False),
    ],
    ids=["answered", "the last", "another is to come", "too late", "died"],
)
def test_outcome_counts_as_an_attempt_unless_it_is_too_late(call: Call, counts: bool) -> None:
    assert call.counts is counts


def test_figures_of_a_call_have_its_duration_and_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.turns.call.time", SimpleNamespace(monotonic=iter([100.0, 107.5]).__next__))
    call = ended(None, "reply")
    assert call.figures() == CallFigures("agent", "fast", "succeeded", USAGE, 7.5, 100.0, call.call_id)


@pytest.mark.parametrize(
    "call",
    [ended(None, "reply"), ended("empty_reply", "failed"), ended("timeout", None), opened(), throttled()],
)
def test_call_read_from_the_journal_equals_the_written_call(call: Call) -> None:
    """Except the duration and the fields that no code reads again, which the journal does not keep."""
    written = json.loads(json_text(call.intent(ASK, REQUEST)))
    row: dict[str, Any] = {**written, "call_id": call.call_id, "payer": call.payer, "finished_at": None}
    row["reserve_usd"] = Decimal(row["reserve_usd"])
    kept = replace(call, started=0.0, seconds=0.0)
    if call.attempt:
        row |= {name.removeprefix("o_"): value for name, value in call.outcome_params().items()}
        # No text is NULL where it was taken away.
        row |= {"finished_at": datetime.now(UTC), "output": row["output"] or None, "age_s": 0.0}
        came = call.attempt.completion
        kept = replace(kept, attempt=replace(call.attempt, completion=_as_kept(came)))
    assert call_from_row(row) == kept


def _as_kept(came: Completion) -> Completion:
    return Completion(came.status, came.text, came.stop_reason, came.usage, retry_after_s=came.retry_after_s)


@pytest.mark.parametrize(
    "change",
    [
        {"model": replace(FAST, model_id="another")},
        {"messages": (MESSAGES[0], Message("user", "hullo"))},
        # Somebody else has said it.
        {"messages": (MESSAGES[0], Message("assistant", "hello"))},
        {"messages": MESSAGES[:1]},
        {"max_output_tokens": 99},
        {"temperature": 0.5},
    ],
    ids=["model", "text", "role", "fewer", "cap", "temperature"],
)
def test_hash_covers_every_sent_field_and_no_id(change: dict[str, Any]) -> None:
    assert _hash(replace(REQUEST, **change)) != _hash(REQUEST)
    assert _hash(replace(REQUEST, call_id=str(uuid4()), turn_id=str(uuid4()))) == _hash(REQUEST)
