"""Tests that the watch of the state machine sees every change that the protocol forbids."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from shared.db.engine import Row
from tests.soak.machine.watch import Month, Snapshot, changes

_NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
_RUNNING, _ENDED, _CALL = UUID(int=1), UUID(int=2), UUID(int=3)


def _turn(turn_id: UUID, **changes_: object) -> Row:
    plan = {"selected_agent_keys": ["writer"], "source": "tags", "unknown_tags": ["nobody"]}
    turn = {"id": turn_id, "session_id": UUID(int=9), "turn_index": 1, "idempotency_key": "key", "fingerprint": "f"}
    turn |= {"mode": "tag", "roster": [], "created_at": _NOON, "lease_epoch": 2, "plan": plan, "expired_claims": 0}
    turn |= {"cancel_requested_at": None, "deleted_at": None, "status": "running", "response": None}
    return turn | {"completed_at": None} | changes_


def _month(used: int, most: int) -> Month:
    return Month(Decimal(used), Decimal(0), Decimal(0), Decimal(most))


def _snapshot() -> Snapshot:
    """A turn that runs and has been answered once, and a turn that has ended."""
    call = {"call_id": _CALL, "turn_id": _RUNNING, "status": "succeeded", "verdict": "reply", "created_at": _NOON}
    call |= {"cost_usd": Decimal(1), "input_tokens": 1, "output_tokens": 1, "stop_reason": "end_turn"}
    ended = _turn(_ENDED, status="completed", response="{}", completed_at=_NOON)
    return Snapshot(
        {_RUNNING: _turn(_RUNNING), _ENDED: ended},
        {_CALL: call | {"error_code": None}},
        {1: {"amount_usd": Decimal(1)}},
        _month(1, 2),
        _month(0, 0),
    )


Change = Callable[[Any], object]
_LATER = _NOON + timedelta(seconds=1)
# A change of a snapshot, and the kind of its finding.
_FORBIDDEN: dict[str, tuple[str, Change]] = {
    "a turn is gone": ("gone", lambda now: now.turns.pop(_ENDED)),
    "an entry is gone": ("gone", lambda now: now.ledger.clear()),
    "an entry is another one": ("ledger", lambda now: now.ledger[1].update(amount_usd=Decimal(2))),
    "a turn is in another session": ("changed", lambda now: now.turns[_RUNNING].update(session_id=UUID(int=8))),
    "an epoch goes back": ("changed", lambda now: now.turns[_RUNNING].update(lease_epoch=1)),
    "another plan": ("plan", lambda now: now.turns[_RUNNING].update(plan=None)),
    "an end is another one": ("changed", lambda now: now.turns[_ENDED].update(status="failed")),
    "a response is another one": ("changed", lambda now: now.turns[_ENDED].update(response="{ }")),
    "a cost is another one": ("changed", lambda now: now.calls[_CALL].update(cost_usd=Decimal(0))),
    "a verdict is gone": ("changed", lambda now: now.calls[_CALL].update(verdict=None)),
    "asked after a cancel": (
        "unwanted",
        lambda now: now.turns[_RUNNING].update(cancel_requested_at=_NOON - timedelta(seconds=1)),
    ),
    "cancelled and completed": ("unwanted", lambda now: now.turns[_ENDED].update(cancel_requested_at=_LATER)),
}
_ALLOWED: dict[str, Change] = {
    "nothing": lambda now: now.calls[_CALL].update(),
    "a turn ends": lambda now: now.turns[_RUNNING].update(status="failed", completed_at=_LATER),
    "a turn is claimed": lambda now: now.turns[_RUNNING].update(lease_epoch=3),
    "another entry": lambda now: now.ledger.update({2: {"amount_usd": Decimal(2)}}),
    "cancelled after the last call": lambda now: now.turns[_RUNNING].update(cancel_requested_at=_LATER),
    "deleted after its end": lambda now: now.turns[_ENDED].update(
        deleted_at=_LATER,
        response=None,
        plan={"selected_agent_keys": ["writer"], "source": "tags", "unknown_tags": []},
    ),
}


@pytest.mark.parametrize("name", _FORBIDDEN)
def test_what_may_not_have_become_of_what_was_is_seen(name: str) -> None:
    kind, change = _FORBIDDEN[name]
    now = deepcopy(_snapshot())
    change(now)
    assert kind in {found for found, _ in changes(_snapshot(), now)}


@pytest.mark.parametrize("name", _ALLOWED)
def test_what_may_be_is_passed_over(name: str) -> None:
    now = deepcopy(_snapshot())
    _ALLOWED[name](now)
    assert list(changes(_snapshot(), now)) == []


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("used", "most", "found"), [(3, 2, ["budget"]), (2, 2, []), (1, 0, []), (2, 0, ["budget"])])
def test_watch_sees_a_budget_exceeded_when_more_is_used_than_before(
    used: int, most: int, found: list[str], *, shared: bool
) -> None:
    months = (_month(1, 100), _month(used, most)) if shared else (_month(used, most), _month(1, 100))
    was, now = Snapshot({}, {}, {}, _month(1, 100), _month(1, 100)), Snapshot({}, {}, {}, *months)
    assert [kind for kind, _ in changes(was, now)] == found
