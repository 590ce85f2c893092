"""Tests that a session's names and its turns' hashes are deleted with it."""

from typing import Any
from uuid import UUID

import pytest

from shared.db.api.sessions import record_session_deletion, record_session_expiry
from shared.db.engine import Database
from shared.errors import SessionDeleted
from shared.names import Role
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, DatabaseUrls, answer, broken_invariants

CALL: dict[str, Any] = {"model": None, "alias": "fast"}
HASHES = "SELECT past_before, past_after, request_hash FROM turns ORDER BY id"


@pytest.fixture
def program(room: CouncilRoom) -> ChatProgram:
    return ChatProgram(room)


def delete(program: ChatProgram, session_id: str) -> None:
    record_session_deletion(program.room.open_database(), program.room.actor, UUID(session_id))


def hashes(program: ChatProgram) -> list[list[bool]]:
    """Which hashes each turn has."""
    return [[value is not None for value in row.values()] for row in program.room.rows(HASHES)]


def test_deleting_a_session_forgets_its_names_and_its_hashes(program: ChatProgram) -> None:
    deleted, kept = program.session("one", name="chat"), program.session("one", name="another")
    program.session("two", name="chat")
    delete(program, deleted)
    names = program.room.rows("SELECT name, session_id::text FROM conversations")
    assert [tuple(row.values()) for row in names] == [("another", kept)]
    assert hashes(program) == [[False] * 3, [True] * 3, [False] * 3]


def test_active_turn_of_a_deleted_session_keeps_its_hashes_until_it_ends(program: ChatProgram) -> None:
    def look(_: object) -> Any:
        (session,) = program.sessions
        delete(program, str(session["id"]))
        assert hashes(program) == [[True, False, True]]
        return answer()

    program.room.provider.enqueue(look)
    program.refused(SessionDeleted, "one", name="chat")
    assert hashes(program) == [[False] * 3]
    assert program.room.rows("SELECT FROM conversations") == []


def test_retention_forgets_names_and_hashes(program: ChatProgram, database_urls: DatabaseUrls) -> None:
    session_id = program.session("one", name="chat")
    program.room.owner.execute(
        "UPDATE sessions SET created_at = now() - interval '8 days', updated_at = now() - interval '8 days'"
    )
    operations = Database(database_urls.of(Role.OPS))
    assert record_session_expiry(operations, program.room.tenant_id, UUID(session_id), 7)
    operations.close()
    assert program.room.rows("SELECT FROM conversations") == []
    assert hashes(program) == [[False] * 3]


def test_call_leaves_no_hash_and_its_session_is_deleted_with_its_end(program: ChatProgram) -> None:
    program.ask("one", **CALL)
    assert hashes(program) == [[False] * 3]
    (session,) = program.sessions
    (turn,) = program.room.rows("SELECT completed_at FROM turns")
    assert session["deleted_at"] == turn["completed_at"]


def test_key_of_a_deleted_turn_is_gone_whatever_it_is_used_for(program: ChatProgram) -> None:
    delete(program, program.session("one", idempotency_key="key-1"))
    program.refused(SessionDeleted, "two", idempotency_key="key-1")


@pytest.mark.parametrize(
    "left",
    [
        "INSERT INTO conversations SELECT tenant_id, user_id, 'chat', id FROM sessions WHERE origin = 'chat'",
        "UPDATE turns SET request_hash = '\\x00' WHERE deleted_at IS NOT NULL",
        "UPDATE turns SET past_before = '\\x00' WHERE deleted_at IS NOT NULL",
    ],
)
def test_invariant_finds_names_and_hashes_of_deleted_sessions(program: ChatProgram, left: str) -> None:
    room = program.room
    delete(program, program.session("one", name="chat"))
    assert broken_invariants(room.owner) == {}
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(left.encode())
        assert [*broken_invariants(room.owner)] == ["of a deleted session no text is left once its turns have ended"]
