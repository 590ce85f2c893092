"""Tests conditions of `publish.sql` that whole turns never reach: other turns, and a publisher that lost its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import pytest

from shared.db.protocol import PUBLISH
from shared.errors import PantheonError
from tests.support.council_room import CouncilRoom, Killed, answer, body, unknown
from tests.support.watched_database import WatchedDatabase

LOST = {
    "to another runner": "lease_epoch = lease_epoch + 1",
    "to the queue": "status = 'accepted', lease_expires_at = NULL",
}


def die(_: object) -> Any:
    raise Killed


def leave_running(room: CouncilRoom) -> UUID:
    """A turn of another session whose process died in its first call."""
    before, room.session_id = room.session_id, room.make_session()
    room.provider.enqueue(die)
    try:
        return room.take_until_killed("@writer hello")
    finally:
        room.session_id = before


def leave_lost(room: CouncilRoom) -> UUID:
    """A running turn whose first call is lost: an outcome that nobody knows yet."""
    turn_id = leave_running(room)
    room.owner.execute("UPDATE llm_calls SET status = 'unknown', cost_usd = reserve_usd WHERE turn_id = %s", (turn_id,))
    return turn_id


@contextmanager
def settled_after(room: CouncilRoom, *turn_ids: UUID) -> Iterator[None]:
    """Let the turns that were left end, so that every invariant holds."""
    yield
    room.expire_lease()
    for turn_id in turn_ids:
        room.resume(turn_id)


def mark(room: CouncilRoom, change: str) -> None:
    """Change the turn that the room's session runs."""
    query = f"UPDATE turns SET {change} WHERE session_id = %s AND status = 'running'"
    room.owner.execute(query.encode(), (room.session_id,))


def written(room: CouncilRoom) -> dict[str, int]:
    tables = ("replies", "summaries", "usage_ledger")
    counts = {table: int(room.row(f"SELECT count(*) AS n FROM {table}")["n"]) for table in tables}
    return counts | {
        "turn_published": room.row("SELECT count(*) AS n FROM audit_events WHERE event = 'turn_published'")["n"]
    }


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_a_publisher_that_lost_its_turn_writes_nothing(room: CouncilRoom, change: str) -> None:
    room.db.before(PUBLISH, lambda: mark(room, change))
    with suppress(PantheonError):
        assert not room.take("@writer hello").published
    assert written(room) == dict.fromkeys(written(room), 0)
    assert room.row("SELECT response, completed_at FROM turns") == {"response": None, "completed_at": None}
    (turn,) = room.rows("SELECT id FROM turns")
    room.expire_lease()
    room.resume(turn["id"])


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_publisher_that_lost_its_turn_locks_no_call(room: CouncilRoom, change: str) -> None:
    """The turn's late outcomes would wait for it. Another turn has this publisher's epoch."""
    neighbour = leave_running(room)
    room.provider.enqueue(answer(), die)
    mine = room.take_until_killed("@writer @critic @researcher hello")
    room.owner.execute("UPDATE turns SET lease_epoch = 2 WHERE id = %s", (neighbour,))
    free: list[int] = []

    def look() -> None:
        query = "SELECT count(*) AS n FROM (SELECT FROM llm_calls WHERE turn_id = %s FOR UPDATE SKIP LOCKED) calls"
        free.append(room.row(query, mine)["n"])

    room.db.before(PUBLISH, lambda: mark(room, change))
    room.db.hold(PUBLISH, look, "lost")
    with settled_after(room, mine, neighbour):
        with suppress(PantheonError):
            room.resume(mine)
        assert free == [room.row("SELECT count(*) AS n FROM llm_calls WHERE turn_id = %s", mine)["n"]]


def test_a_publish_sees_its_own_marks_beside_another_running_turn(room: CouncilRoom) -> None:
    neighbour = leave_running(room)
    room.db.before(PUBLISH, lambda: mark(room, "cancel_requested_at = clock_timestamp()"))
    with settled_after(room, neighbour):
        assert body(room.take("@writer hello"))["status"] == "cancelled"


def test_a_publish_counts_only_the_lost_calls_of_its_own_turn(room: CouncilRoom) -> None:
    """A call whose known outcome is `unknown` does not count."""
    neighbour = leave_lost(room)
    room.provider.enqueue(unknown(), answer())
    room.db.before(PUBLISH, lambda: mark(room, "cancel_requested_at = clock_timestamp()"))
    with settled_after(room, neighbour):
        assert body(room.take("@writer @critic hello"))["status"] == "cancelled"


def test_a_second_publish_adds_no_summary(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}
    run_all = WatchedDatabase.run_all

    def run_all_(db: WatchedDatabase, tenant_id: str | None, *work: Any, **options: Any) -> Any:
        sent.update(*(params for statement, params in work if statement is PUBLISH))
        return run_all(db, tenant_id, *work, **options)

    monkeypatch.setattr(WatchedDatabase, "run_all", run_all_)
    room.take("@writer hello")
    names = ("key_facts", "decisions", "open_questions", "action_items", "archived", "fallbacks")
    lists: dict[str, list[object]] = {name: [] for name in names}
    summary = {"id": str(room.session_id), "through_turn_index": 1, "text": "Roses.", **lists}
    assert "published" not in room.db.run(room.tenant_id, PUBLISH, sent | {"t_summary": json.dumps(summary)})[0]
    assert room.rows("SELECT FROM summaries") == []
