"""Tests providers' words and models' thinking: admins read them in the audit, and they are deleted with the session."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.audit import load_audit
from shared.db.api.sessions import record_session_deletion
from shared.domain.actor import Actor
from shared.errors import SessionDeleted
from shared.llm.port import Completion
from shared.names import Role
from shared.operations.retention import delete_untouched
from tests.support.council_room import AMPLE_S, CouncilRoom, DatabaseUrls, answer, broken_invariants, words_left
from tests.support.watched_database import WatchedDatabase

ADMIN = Actor("tenant-1", "root", is_admin=True)
SAID = "The sesame of your organization is not verified."
THOUGHT = answer("<think>A sesame?</think>Use tests.")


@dataclass(frozen=True)
class Words:
    """The journal's column, the source of the words, the words, and the answer while a session is deleted."""

    column: str
    completion: Completion
    told: str
    late: Completion


KINDS = (
    Words("provider_message", Completion("unbilled", error="refused", provider_message=SAID), SAID, answer()),
    Words("thinking", THOUGHT, "A sesame?", THOUGHT),
)


@pytest.fixture(params=KINDS, ids=lambda words: words.column)
def words(request: pytest.FixtureRequest) -> Words:
    kind: Words = request.param
    return kind


@pytest.fixture
def turn_id(room: CouncilRoom, words: Words) -> UUID:
    """A turn with one call with words and one without."""
    room.provider.enqueue(words.completion, answer())
    return room.take("@writer @critic hello").turn_id


def told(room: CouncilRoom, actor: Actor, turn_id: UUID, words: Words) -> list[Any]:
    (event,) = load_audit(room.db, actor, turn_id)
    return [attempt[words.column] for attempt in event["detail"]["attempts"]]


def test_admins_read_words_with_their_attempt_and_members_do_not(
    room: CouncilRoom, turn_id: UUID, words: Words
) -> None:
    assert told(room, ADMIN, turn_id, words) == [words.told, None]
    # The member who posted the turn cannot read them either.
    assert told(room, room.actor, turn_id, words) == [None, None]


@pytest.mark.usefixtures("turn_id")
def test_words_are_in_the_journal_only(room: CouncilRoom) -> None:
    assert words_left(room, "sesame") == {"llm_calls": 1}


@pytest.mark.usefixtures("turn_id")
def test_words_are_deleted_with_their_session(room: CouncilRoom) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    assert words_left(room, "sesame") == {}


@pytest.mark.usefixtures("turn_id")
def test_words_are_deleted_when_their_sessions_retention_ends(room: CouncilRoom, ops: WatchedDatabase) -> None:
    room.owner.execute(
        "UPDATE sessions SET created_at = now() - interval '40 days', updated_at = now() - interval '40 days'"
    )
    assert delete_untouched(ops, 30, AMPLE_S) == 1
    assert words_left(room, "sesame") == {}


@pytest.mark.parametrize("role", [Role.APP, Role.OPS])
@pytest.mark.usefixtures("turn_id")
def test_words_are_deleted_when_the_release_before_deletes_their_session(
    room: CouncilRoom, database_urls: DatabaseUrls, role: Role
) -> None:
    """That release clears the output of the session's calls, and does not know the columns."""
    with psycopg.connect(database_urls.of(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'tenant-1', true)")
        connection.execute("UPDATE llm_calls SET output = NULL")
    assert words_left(room, "sesame") == {}


def test_words_are_deleted_when_the_session_is_deleted_during_its_turn(room: CouncilRoom, words: Words) -> None:
    def delete(_: object) -> Completion:
        record_session_deletion(room.open_database(), room.actor, room.session_id)
        return words.late

    room.provider.enqueue(words.completion, delete)
    with pytest.raises(SessionDeleted):
        room.take("@writer @critic hello")
    assert words_left(room, "sesame") == {}


@pytest.mark.usefixtures("turn_id", "ops")
def test_words_left_in_a_deleted_session_break_an_invariant(room: CouncilRoom, words: Words) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    room.owner.execute(f"UPDATE llm_calls SET {words.column} = 'x' WHERE step = 0".encode())
    assert set(broken_invariants(room.owner)) == {"of a deleted session no text is left once its turns have ended"}
    room.owner.execute(f"UPDATE llm_calls SET {words.column} = NULL".encode())
