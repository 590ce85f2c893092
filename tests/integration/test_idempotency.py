"""Tests that a key makes one turn and always returns it, and that a session has one active turn at a time."""

from typing import Any

import pytest

from shared.db.api import sessions
from shared.db.api.history import load_turns
from shared.db.api.pages import PageRequest
from shared.db.turns import load_turn
from shared.domain.outcome import TurnOutcome
from shared.errors import BudgetExceeded, IdempotencyKeyReused, NotFound, SessionDeleted, TurnConflict
from shared.llm.port import Request
from shared.turns.run import take_turn
from tests.support.council_room import CouncilRoom, body, unbilled


def during_the_call(room: CouncilRoom, **request: Any) -> TurnOutcome:
    """Take a turn, and another one during its call. Returns the other one's outcome."""
    outcomes: list[TurnOutcome] = []

    def post_again(_: Request) -> str:
        outcomes.append(take_turn(room.runner(db=room.open_database()), room.request(**request)))
        return "Roses."

    room.provider.enqueue(post_again)
    room.take("@writer hello", idempotency_key="key-1")
    return outcomes[0]


@pytest.mark.parametrize("script", [["Roses."], [unbilled("refused")]], ids=["completed", "failed"])
def test_key_gets_the_stored_bytes_without_a_call(room: CouncilRoom, script: list[Any]) -> None:
    room.provider.enqueue(*script)
    first = room.take("@writer Grüße 👋", idempotency_key="key-1")
    asked = len(room.provider.requests)
    room.change_agent("writer", name="Poet")
    again = [room.take("@writer Grüße 👋", idempotency_key="key-1") for _ in range(2)]
    assert [outcome.body for outcome in again] == [first.body, first.body]
    assert [outcome.replayed for outcome in (first, *again)] == [False, True, True]
    assert len(room.provider.requests) == asked
    assert load_turn(room.db, room.actor, first.turn_id).body == first.body
    assert load_turns(room.db, room.actor, room.session_id, PageRequest()) == ([first.body], None)


def test_a_key_in_use_is_answered_with_the_turn_as_it_stands(room: CouncilRoom) -> None:
    outcome = during_the_call(room, message="@writer hello", idempotency_key="key-1")
    assert (outcome.status, outcome.ended, outcome.replayed) == ("running", False, False)
    assert (body(outcome)["replies"], body(outcome)["completed_at"]) == ([], None)
    assert room.rows("SELECT id FROM turns") == [{"id": outcome.turn_id}]
    assert len(room.provider.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"message": "hullo"},
        {"mode": "roundtable"},
        {"agent_keys": ("critic",)},
        {"agent_keys": None},
    ],
    ids=["message", "mode", "other agents", "no agents"],
)
def test_a_key_is_refused_for_another_body(room: CouncilRoom, change: dict[str, Any]) -> None:
    posted: dict[str, Any] = {
        "message": "hello",
        "mode": "manual",
        "agent_keys": ("writer",),
        "idempotency_key": "key-1",
    }
    take_turn(room.runner(), room.request(**posted))
    with pytest.raises(IdempotencyKeyReused):
        take_turn(room.runner(), room.request(**posted | change))
    assert len(room.provider.requests) == 1


def test_a_key_is_refused_in_another_session_and_is_free_for_another_tenant(room: CouncilRoom) -> None:
    room.take("@writer hello", idempotency_key="key-1")
    with pytest.raises(IdempotencyKeyReused):
        room.take("@writer hello", idempotency_key="key-1", session_id=room.make_session())
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        assert other.take("@writer hello", idempotency_key="key-1").published
    assert len(room.rows("SELECT id FROM turns")) == 2


def test_a_second_turn_meets_a_conflict_before_any_call(room: CouncilRoom) -> None:
    with pytest.raises(TurnConflict) as caught:
        during_the_call(room, message="@critic hello", idempotency_key="key-2")
    active = room.row("SELECT id, status FROM turns")
    assert (caught.value.extra, active["status"]) == ({"active_turn_id": str(active["id"])}, "running")
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
    assert len(room.provider.requests) == 1
    room.expire_lease()
    # Its message is due again by now.
    room.owner.execute("UPDATE turns SET dispatch_after = clock_timestamp() - interval '1 minute'")
    with pytest.raises(TurnConflict) as caught:
        room.take("@critic hello", idempotency_key="key-2")
    assert caught.value.headers["Retry-After"] == "1"
    assert room.resume(active["id"]) is not None
    assert room.take("@critic hello", idempotency_key="key-2").published


def test_a_refused_turn_leaves_its_key_free(room: CouncilRoom) -> None:
    room.limit(0)
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", idempotency_key="key-1")
    room.limit(None)
    assert room.take("@writer another", idempotency_key="key-1").published


def test_a_key_whose_session_was_deleted_is_gone(room: CouncilRoom) -> None:
    room.take("@writer hello", idempotency_key="key-1")
    sessions.record_session_deletion(room.db, room.actor, room.session_id)
    for message in ("@writer hello", "@writer and another"):
        with pytest.raises(SessionDeleted):
            room.take(message, idempotency_key="key-1")
    with pytest.raises(NotFound):
        room.take("@writer hello", idempotency_key="key-2")
    assert len(room.provider.requests) == 1
