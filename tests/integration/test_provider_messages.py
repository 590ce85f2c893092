"""The provider's own words about an error: admins read them in the audit, and they go with the text of the session."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.sessions import record_session_deletion
from shared.db.api.summaries import load_audit
from shared.domain.actor import Actor
from shared.errors import SessionDeleted
from shared.llm.port import Completion
from shared.names import Role
from shared.operations.retention import delete_untouched
from tests.council_room import AMPLE_S, CouncilRoom, DatabaseUrls, answer, broken_invariants, words_left
from tests.watched_database import WatchedDatabase

ADMIN = Actor("tenant-1", "root", is_admin=True)
SAID = "The sesame of your organization is not verified."
REFUSAL = Completion("unbilled", error="refused", provider_message=SAID)


@pytest.fixture
def turn_id(room: CouncilRoom) -> UUID:
    """A turn with a refused call and an answered one."""
    room.provider.enqueue(REFUSAL, answer())
    return room.take("@writer @critic hello").turn_id


def told(room: CouncilRoom, actor: Actor, turn_id: UUID) -> list[Any]:
    (event,) = load_audit(room.db, actor, turn_id)
    return [attempt["provider_message"] for attempt in event["detail"]["attempts"]]


def test_admins_read_it_with_its_attempt_and_members_do_not(room: CouncilRoom, turn_id: UUID) -> None:
    assert told(room, ADMIN, turn_id) == [SAID, None]
    # The member who posted the turn does not, either.
    assert told(room, room.actor, turn_id) == [None, None]


def test_it_is_in_the_journal_only(room: CouncilRoom, turn_id: UUID) -> None:
    assert words_left(room, "sesame") == {"llm_calls": 1}


@pytest.mark.usefixtures("turn_id")
def test_it_goes_when_its_session_is_deleted(room: CouncilRoom) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    assert words_left(room, "sesame") == {}


@pytest.mark.usefixtures("turn_id")
def test_it_goes_when_the_retention_of_its_session_ends(room: CouncilRoom, ops: WatchedDatabase) -> None:
    room.owner.execute(
        "UPDATE sessions SET created_at = now() - interval '40 days', updated_at = now() - interval '40 days'"
    )
    assert delete_untouched(ops, 30, AMPLE_S) == 1
    assert words_left(room, "sesame") == {}


@pytest.mark.parametrize("role", [Role.APP, Role.OPS])
@pytest.mark.usefixtures("turn_id")
def test_it_goes_when_the_release_before_deletes_its_session(
    room: CouncilRoom, database_urls: DatabaseUrls, role: Role
) -> None:
    """That release sets the output of the session's calls, and knows no message."""
    with psycopg.connect(database_urls.of(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'tenant-1', true)")
        connection.execute("UPDATE llm_calls SET output = NULL")
    assert words_left(room, "sesame") == {}


def test_it_goes_when_the_session_is_deleted_while_its_turn_runs(room: CouncilRoom) -> None:
    def delete(_: object) -> Completion:
        record_session_deletion(room.open_database(), room.actor, room.session_id)
        return answer()

    room.provider.enqueue(REFUSAL, delete)
    with pytest.raises(SessionDeleted):
        room.take("@writer @critic hello")
    assert words_left(room, "sesame") == {}


def test_one_that_is_left_in_a_deleted_session_breaks_an_invariant(
    room: CouncilRoom, turn_id: UUID, ops: WatchedDatabase
) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    room.owner.execute("UPDATE llm_calls SET provider_message = 'x' WHERE step = 0")
    assert set(broken_invariants(room.owner)) == {"of a deleted session no text is left once its turns have ended"}
    room.owner.execute("UPDATE llm_calls SET provider_message = NULL")
