"""Tests conditions of single steps that whole turns never reach. Each step runs alone, on rows that it must not
change.
"""

from typing import Any
from uuid import UUID

import pytest

from shared.db.operations.suspense import record_settlement
from shared.db.protocol import GIVE_UP, RELEASE
from shared.db.statement import Statement
from shared.domain.money import Usage
from tests.support.council_room import CouncilRoom, Killed, answer
from tests.support.watched_database import WatchedDatabase


def die(_: object) -> Any:
    raise Killed


def leave_running(room: CouncilRoom) -> UUID:
    """A turn in a session of its own whose first agent has answered and whose process died in the second call."""
    room.session_id = room.make_session()
    room.provider.enqueue(answer("Roses."), die)
    return room.take_until_killed("@writer @critic hello")


def run(room: CouncilRoom, statement: Statement, turn_id: UUID, epoch: int) -> list[Any]:
    params = {"t_id": turn_id, "t_epoch": epoch, "o_call_id": None, "t_wait_s": 0.0}
    return room.db.run(room.tenant_id, statement, params)


def state(room: CouncilRoom) -> list[Any]:
    """Return all rows that these steps may change."""
    return [
        *room.rows("SELECT id, status, lease_expires_at, dispatch_after, expired_claims FROM turns ORDER BY id"),
        *room.rows("SELECT call_id, verdict, error_code FROM llm_calls ORDER BY call_id"),
    ]


@pytest.mark.parametrize("statement", [GIVE_UP, RELEASE], ids=["forfeit", "release"])
def test_a_step_of_another_epoch_changes_nothing(room: CouncilRoom, statement: Statement) -> None:
    turn_id, before = leave_running(room), state(room)
    assert run(room, statement, turn_id, 2) in ([], [{}])
    assert state(room) == before
    room.resume(turn_id)


@pytest.mark.parametrize("statement", [GIVE_UP, RELEASE], ids=["forfeit", "release"])
def test_a_step_on_an_ended_turn_changes_nothing(room: CouncilRoom, statement: Statement) -> None:
    turn_id = room.take("@writer hello").turn_id
    before = state(room)
    assert run(room, statement, turn_id, 1) in ([], [{}])
    assert state(room) == before


def test_forfeiting_a_turn_leaves_another_one_of_the_same_epoch(room: CouncilRoom) -> None:
    first, second = leave_running(room), leave_running(room)
    assert {row["verdict"] for row in room.rows("SELECT verdict FROM llm_calls")} == {"reply", None}
    run(room, GIVE_UP, first, 1)
    kept = room.rows("SELECT turn_id FROM llm_calls WHERE verdict = 'reply'")
    assert kept == [{"turn_id": second}]
    room.expire_lease()
    for turn_id in (first, second):
        room.resume(turn_id)


def test_forfeiting_locks_the_turn_and_can_be_repeated(room: CouncilRoom) -> None:
    turn_id = leave_running(room)
    blocked: list[int] = []

    def look() -> None:
        free = "SELECT count(*) AS n FROM (SELECT FROM turns WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED) t"
        blocked.append(room.row(free, turn_id)["n"])

    room.db.hold(GIVE_UP, look)
    run(room, GIVE_UP, turn_id, 1)
    assert blocked == [0]
    before = state(room)
    run(room, GIVE_UP, turn_id, 1)
    assert state(room) == before
    room.resume(turn_id)


def test_a_call_is_not_settled_before_it_is_posted(room: CouncilRoom, ops: WatchedDatabase) -> None:
    """Its turn still runs and will post it. An adjustment would count it twice."""
    turn_id = leave_running(room)
    room.owner.execute("UPDATE llm_calls SET status = 'unknown', cost_usd = reserve_usd WHERE status = 'intent'")
    (call_id,) = (row["call_id"] for row in room.rows("SELECT call_id FROM llm_calls WHERE status = 'unknown'"))
    outcome = {"status": "succeeded", "cost_usd": 0, **Usage(1).as_counts()}
    assert not record_settlement(ops, call_id, outcome)
    assert room.rows("SELECT * FROM usage_ledger") == []
    room.resume(turn_id)
