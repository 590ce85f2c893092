"""Tests that untouched sessions expire as if their client had deleted them, and that no other session does."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.sessions import record_session_change, record_session_deletion, record_session_expiry
from shared.errors import NotFound, SessionDeleted
from shared.names import Role
from shared.operations import retention
from shared.operations.retention import delete_untouched
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, DatabaseUrls, answer, words_left
from tests.support.watched_database import WatchedDatabase

DAYS = 30
AMPLE_S = 60.0
# Columns that differ in every row and every run.
VOLATILE = {
    *("id", "session_id", "turn_id", "call_id", "provider_request_id"),
    *("idempotency_key", "fingerprint", "detail"),
}


def age(room: CouncilRoom, days: float = DAYS + 1, session_id: UUID | None = None) -> None:
    """Make this number of days pass since the last use of the session, or of all."""
    room.owner.execute(
        """UPDATE sessions SET created_at = created_at - make_interval(secs => %s),
        updated_at = updated_at - make_interval(secs => %s) WHERE %s::uuid IS NULL OR id = %s""",
        (days * 86_400, days * 86_400, session_id, session_id),
    )


def living(room: CouncilRoom) -> set[UUID]:
    return {row["id"] for row in room.rows("SELECT id FROM sessions WHERE deleted_at IS NULL")}


def rows_of(room: CouncilRoom, session_id: UUID) -> list[Any]:
    """Return all stored rows of a session, except ids and times.

    Publish inserts the rows of a ledger in any order.
    """
    tables = {"sessions": "id", "turns": "session_id", "llm_calls": "session_id", "summaries": "session_id"}
    tables |= {"usage_ledger": "session_id", "audit_events": "session_id"}
    found = [room.rows(f"SELECT * FROM {name} WHERE {key} = %s ORDER BY 1", session_id) for name, key in tables.items()]
    query = "SELECT r.* FROM replies r JOIN turns t ON t.id = r.turn_id WHERE t.session_id = %s ORDER BY position"
    shown = [
        {name: bool(value) if name.endswith("_at") else value for name, value in row.items() if name not in VOLATILE}
        for rows in (*found, room.rows(query, session_id))
        for row in rows
    ]
    return sorted(shown, key=str)


def test_untouched_session_expires_as_if_its_client_had_deleted_it(room: CouncilRoom, ops: WatchedDatabase) -> None:
    sessions = [room.session_id, room.make_session()]
    for session_id in sessions:
        room.provider.enqueue(answer("sesame"), answer("sesame"))
        room.take("@writer @critic sesame @sesame", session_id=session_id, idempotency_key=f"key-{session_id}")
    age(room, session_id=sessions[0])
    assert delete_untouched(ops, DAYS, AMPLE_S) == 1
    record_session_deletion(room.db, room.actor, sessions[1])
    assert rows_of(room, sessions[0]) == rows_of(room, sessions[1])
    assert words_left(room, "sesame") == {}
    with pytest.raises(SessionDeleted):
        room.take("@writer @critic sesame @sesame", session_id=sessions[0], idempotency_key=f"key-{sessions[0]}")
    with pytest.raises(NotFound):
        room.take("hello", session_id=sessions[0])


def test_sessions_stay_without_a_retention_setting(room: CouncilRoom, ops: WatchedDatabase) -> None:
    age(room, 40_000)
    assert delete_untouched(ops, None, AMPLE_S) == 0
    assert living(room) == {room.session_id}


def test_the_sessions_of_every_tenant_go(room: CouncilRoom, ops: WatchedDatabase) -> None:
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        age(room)
        assert delete_untouched(ops, DAYS, AMPLE_S) == 2
    assert living(room) == set()


@pytest.mark.parametrize("touch", ["a turn", "a change"])
def test_a_session_that_was_touched_stays_however_old_it_is(
    room: CouncilRoom, ops: WatchedDatabase, touch: str
) -> None:
    age(room)
    if touch == "a turn":
        room.take("@writer hello")
    else:
        record_session_change(room.db, room.actor, room.session_id, {"title": "New"})
    assert delete_untouched(ops, DAYS, AMPLE_S) == 0
    assert living(room) == {room.session_id}


def test_session_expires_when_its_days_are_over_and_not_before(room: CouncilRoom, ops: WatchedDatabase) -> None:
    age(room, DAYS - 0.01)
    assert delete_untouched(ops, DAYS, AMPLE_S) == 0
    age(room, 0.02)
    assert delete_untouched(ops, DAYS, AMPLE_S) == 1


@pytest.mark.parametrize("status", ["accepted", "running"])
def test_a_session_with_an_active_turn_stays_until_that_has_ended(
    room: CouncilRoom, ops: WatchedDatabase, status: str
) -> None:
    if status == "running":
        ages_and_sweeps: list[int] = []

        def sweep(_: object) -> str:
            age(room)
            ages_and_sweeps.append(delete_untouched(ops, DAYS, AMPLE_S))
            return "Still here."

        room.provider.enqueue(sweep)
        assert room.take("@writer hello").published
        assert ages_and_sweeps == [0]
    else:
        turn_id = room.take("@writer hello", later=True).turn_id
        age(room)
        assert delete_untouched(ops, DAYS, AMPLE_S) == 0
        room.resume(turn_id)
    assert delete_untouched(ops, DAYS, AMPLE_S) == 1


def test_turn_accepted_during_the_expiry_keeps_its_session(room: CouncilRoom, ops: WatchedDatabase) -> None:
    """The expiry waits for the accept of a turn, and reads the session again."""
    room.provider.enqueue(answer("sesame"))
    room.take("@writer sesame")
    age(room)
    with psycopg.connect(room.owner_url) as client, ThreadPoolExecutor() as pool:
        client.execute("UPDATE sessions SET updated_at = now()")
        expiry = pool.submit(record_session_expiry, ops, room.tenant_id, room.session_id, DAYS)
        room.wait_until_blocked()
        client.commit()
        assert expiry.result() is False
    assert living(room) == {room.session_id}
    assert words_left(room, "sesame").keys() == {"turns", "replies"}
    assert room.row("SELECT deleted_at FROM turns") == {"deleted_at": None}


def test_sessions_expire_batch_by_batch_until_the_time_is_over(
    room: CouncilRoom, ops: WatchedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    for _ in range(4):
        room.make_session()
    age(room)
    assert delete_untouched(ops, DAYS, 0.0) == 0
    assert len(living(room)) == 5
    assert delete_untouched(ops, DAYS, AMPLE_S) == 5
    assert delete_untouched(ops, DAYS, AMPLE_S) == 0


def test_operations_may_change_no_more_of_a_session_than_its_deletion_does(
    room: CouncilRoom, database_urls: DatabaseUrls
) -> None:
    refused = (
        *(f"UPDATE sessions SET {name} = {name}" for name in ("tenant_id", "user_id", "agent_keys", "updated_at")),
        *(f"UPDATE replies SET {name} = {name}" for name in ("tenant_id", "name", "cost_usd")),
        *("DELETE FROM replies", "DELETE FROM turns", "UPDATE summaries SET text = ''"),
    )
    with psycopg.connect(database_urls.of(Role.OPS), autocommit=True) as connection:
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_session_that_is_deleted_before_its_first_turn_leaves_no_row(room: CouncilRoom, ops: WatchedDatabase) -> None:
    asked = room.make_session()
    room.take("@writer hello", session_id=asked)
    record_session_deletion(room.db, room.actor, room.session_id)
    record_session_deletion(room.db, room.actor, asked)
    untouched = room.make_session()
    age(room, session_id=untouched)
    assert delete_untouched(ops, DAYS, AMPLE_S) == 1
    assert room.rows("SELECT id, deleted_at IS NULL AS lives FROM sessions") == [{"id": asked, "lives": False}]


@pytest.mark.parametrize("role", [Role.APP, Role.OPS])
def test_no_role_removes_a_session_that_lives_or_had_a_turn(
    room: CouncilRoom, database_urls: DatabaseUrls, role: Role
) -> None:
    room.owner.execute("UPDATE sessions SET deleted_at = now(), title = '', next_turn_index = 2")
    room.make_session()
    with psycopg.connect(database_urls.of(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (room.tenant_id,))
        assert connection.execute("DELETE FROM sessions").rowcount == 0
    room.owner.execute("UPDATE sessions SET next_turn_index = 1")


def test_untouched_sessions_are_found_by_an_index(room: CouncilRoom, ops: WatchedDatabase) -> None:
    """Deleted sessions stay as rows. The expiry must not read them each time, or those that were used lately."""
    room.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, deleted_at, created_at)
        SELECT gen_random_uuid(), tenant_id, user_id, '', mode, fan_out, agent_keys, gone, created_at - age
        FROM sessions, generate_series(1, 5000), (VALUES (now(), interval '1 year'), (NULL, '0')) kinds (gone, age)"""
    )
    room.owner.execute("ANALYZE sessions")
    plan = room.rows(
        """EXPLAIN SELECT id FROM sessions WHERE deleted_at IS NULL AND created_at < now() - interval '30 days'
        ORDER BY created_at LIMIT 100"""
    )
    assert "sessions_living_created_at_idx" in str(plan)
    room.owner.execute("DELETE FROM sessions WHERE title = ''")


def test_sessions_that_no_user_opened_have_a_retention_of_their_own(room: CouncilRoom, ops: WatchedDatabase) -> None:
    program = ChatProgram(room)
    chat = program.session("sesame", name="chat", instructions="sesame", says="sesame")
    imported = program.session("open sesame", "sesame", "on")
    program.ask("sesame", model=None, alias="fast")
    fresh = program.session("another")
    # A release before 0020 left the sessions of calls undeleted.
    (called,) = room.rows("UPDATE sessions SET deleted_at = NULL WHERE origin = 'call' RETURNING id")
    for session_id in (room.session_id, UUID(chat), UUID(imported), called["id"]):
        age(room, 8, session_id)
    assert delete_untouched(ops, 7, AMPLE_S, implicit=True) == 3
    assert living(room) == {room.session_id, UUID(fresh)}
    assert words_left(room, "sesame") == {}
    assert program.session("on", name="chat") not in (chat, imported)
