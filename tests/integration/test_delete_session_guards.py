"""Tests that `delete_session.sql` deletes no other session, no other user's session, and no running turn."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from shared.db.api.sessions import record_session_expiry
from shared.db.protocol import DELETE_SESSION
from shared.errors import SessionDeleted
from tests.support.council_room import CouncilRoom, Killed, answer

DAYS = 30
TABLES = {
    "sessions": "id, title, deleted_at",
    "turns": "id, message, response, plan, deleted_at",
    "llm_calls": "call_id, output",
    "replies": "turn_id, position, text",
    "summaries": "id, text",
}


def die(_: object) -> Any:
    raise Killed


def hold_talk(room: CouncilRoom) -> UUID:
    """A session with a turn that ended, its summary, and a turn that was left with one answer in the journal."""
    room.session_id = room.make_session()
    ended = room.take("@writer hello").turn_id
    room.owner.execute(
        """INSERT INTO summaries SELECT gen_random_uuid(), tenant_id, session_id, id, 1, '', '[]', '[]', '[]',
           '[]', '[]', '[]' FROM turns WHERE id = %s""",
        (ended,),
    )
    room.provider.enqueue(answer("Roses."), die)
    room.take_until_killed("@writer @critic hello")
    return room.session_id


def end(room: CouncilRoom, session_id: UUID) -> None:
    for turn in room.rows("SELECT id FROM turns WHERE session_id = %s AND status = 'running'", session_id):
        with suppress(SessionDeleted):
            room.resume(turn["id"])


def age(room: CouncilRoom, session_id: UUID, *, created: int = DAYS + 1, updated: int = DAYS + 1) -> None:
    """Make the session this number of days old, since its creation and its last use."""
    room.owner.execute(
        """UPDATE sessions SET created_at = now() - make_interval(days => %s),
        updated_at = now() - make_interval(days => %s) WHERE id = %s""",
        (created, updated, session_id),
    )


def scrub(room: CouncilRoom, session_id: UUID, days: int | None = None) -> bool:
    actor = room.actor.params if days is None else dict.fromkeys(room.actor.params)
    params = {"b_id": session_id, "b_days": days, **actor}
    return "scrubbed" in room.db.run(room.tenant_id, DELETE_SESSION, params)[0]


def state(room: CouncilRoom) -> dict[str, list[Any]]:
    return {table: room.rows(f"SELECT {columns} FROM {table} ORDER BY 1, 2") for table, columns in TABLES.items()}


def of(room: CouncilRoom, session_id: UUID) -> dict[str, list[Any]]:
    """The rows of one session. The ids of its turns lead to its calls and replies."""
    mine = f"(SELECT id FROM turns WHERE session_id = '{session_id}')"
    where = {"sessions": "id = %s", "turns": "session_id = %s", "summaries": "session_id = %s"}
    return {
        table: room.rows(f"SELECT {columns} FROM {table} WHERE {where[table]} ORDER BY 1", session_id)
        if table in where
        else room.rows(f"SELECT {columns} FROM {table} WHERE turn_id IN {mine} ORDER BY 1, 2")
        for table, columns in TABLES.items()
    }


def test_another_session_keeps_all_of_its_text(room: CouncilRoom) -> None:
    gone, kept = hold_talk(room), hold_talk(room)
    before = of(room, kept)
    assert before["summaries"]
    assert scrub(room, gone)
    assert of(room, kept) == before
    end(room, gone)
    end(room, kept)


def test_a_running_turn_keeps_the_answers_that_it_goes_on_with(room: CouncilRoom) -> None:
    session_id = hold_talk(room)
    assert scrub(room, session_id)
    assert {"output": "Roses."} in room.rows("SELECT output FROM llm_calls")
    end(room, session_id)
    assert room.rows("SELECT FROM llm_calls WHERE output IS NOT NULL") == []


def test_a_session_is_deleted_once(room: CouncilRoom) -> None:
    session_id = hold_talk(room)
    assert scrub(room, session_id)
    before = state(room)
    assert not scrub(room, session_id)
    assert state(room) == before
    end(room, session_id)


@pytest.mark.parametrize(
    ("ages", "ended"),
    [
        ({"created": DAYS - 1, "updated": DAYS + 1}, True),
        ({"created": DAYS + 1, "updated": DAYS - 1}, True),
        ({}, False),
    ],
    ids=["made of late", "touched of late", "with a turn that runs"],
)
def test_a_session_that_is_in_use_does_not_expire(room: CouncilRoom, ages: dict[str, int], ended: bool) -> None:
    session_id = hold_talk(room)
    if ended:
        end(room, session_id)
    age(room, session_id, **ages)
    before = state(room)
    assert not record_session_expiry(room.db, room.tenant_id, session_id, DAYS)
    assert state(room) == before
    end(room, session_id)


def test_a_session_expires_while_another_one_runs(room: CouncilRoom) -> None:
    old, other = hold_talk(room), hold_talk(room)
    end(room, old)
    age(room, old)
    assert record_session_expiry(room.db, room.tenant_id, old, DAYS)
    end(room, other)
