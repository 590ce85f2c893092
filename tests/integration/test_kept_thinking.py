"""A model's thinking: the journal keeps it for the audit of admins, and it goes with the text of its session."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.export import load_export
from shared.db.api.sessions import record_session_deletion
from shared.db.api.summaries import load_audit
from shared.domain.actor import Actor
from shared.errors import SessionDeleted
from shared.llm.port import MAX_THINKING_BYTES, Completion
from shared.names import Role
from shared.operations.retention import delete_untouched
from tests.council_room import AMPLE_S, CouncilRoom, DatabaseUrls, Killed, answer, body, broken_invariants, words_left
from tests.watched_database import WatchedDatabase

ADMIN = Actor("tenant-1", "root", is_admin=True)
THOUGHT = answer("<think>A sesame?</think>Use tests.")
APART = Completion("succeeded", "Use tests.", "end_turn", THOUGHT.usage, thinking="A sesame?")


def die(_: object) -> Completion:
    raise Killed


@pytest.fixture
def turn_id(room: CouncilRoom) -> UUID:
    """A turn with an answer that has thinking and one that has none."""
    room.provider.enqueue(THOUGHT, answer())
    return room.take("@writer @critic hello").turn_id


def told(room: CouncilRoom, actor: Actor, turn_id: UUID) -> list[Any]:
    (event,) = load_audit(room.db, actor, turn_id)
    return [attempt["thinking"] for attempt in event["detail"]["attempts"]]


@pytest.mark.parametrize("said", [THOUGHT, APART], ids=["in the answer", "apart from it"])
def test_the_journal_keeps_thinking_apart_from_the_reply(room: CouncilRoom, said: Completion) -> None:
    room.provider.enqueue(said, answer())
    turn = body(room.take("@writer @critic hello"))
    assert room.calls("thinking, has_thinking") == [("A sesame?", True), (None, False)]
    assert turn["replies"][0]["text"] == "Use tests."
    assert words_left(room, "sesame") == {"llm_calls": 1}


def test_admins_read_thinking_with_its_attempt_and_members_do_not(room: CouncilRoom, turn_id: UUID) -> None:
    assert told(room, ADMIN, turn_id) == ["A sesame?", None]
    # The member who posted the turn does not, either.
    assert told(room, room.actor, turn_id) == [None, None]


def test_thinking_is_in_no_prompt_and_no_export(room: CouncilRoom, turn_id: UUID) -> None:
    room.provider.enqueue(answer())
    room.take("@writer again")
    assert "sesame" not in str([request.messages for request in room.provider.requests])
    assert "sesame" not in str(load_export(room.db, ADMIN, room.session_id, None))


def test_thinking_is_in_no_log(room: CouncilRoom, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    room.provider.enqueue(answer("<think>A sesame?"))
    room.take("@writer hello")
    assert "sesame" not in str([vars(record) for record in caplog.records])


def test_a_helpers_thinking_is_kept(room: CouncilRoom) -> None:
    room.provider.enqueue(answer('<think>A sesame?</think>{"selected_agent_keys": ["critic"]}'), answer())
    room.take("hello", session_id=room.make_session(mode="orchestrator"))
    assert room.calls("purpose, thinking") == [("routing", "A sesame?"), ("agent", None)]


@pytest.mark.parametrize(("letter", "size"), [("x", 1), ("\n", 2), ("😀", 4), ("\x01", 6)])
def test_a_long_thought_is_cut_at_its_bound_and_read_back(room: CouncilRoom, letter: str, size: int) -> None:
    """In JSON a letter takes `size` bytes."""
    room.provider.enqueue(answer(f"<think>Hm.{letter * 300_000}.</think>Use tests."))
    turn_id = room.take("@writer hello").turn_id
    (kept,) = told(room, ADMIN, turn_id)
    assert kept == "Hm." + letter * ((MAX_THINKING_BYTES - 3) // size)


def test_a_reply_of_thinking_alone_keeps_it(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("<think>A sesame?"))
    turn = body(room.take("@writer hello"))
    assert turn["replies"][0]["error"]["code"] == "thinking_only"
    assert room.calls("error_code, thinking") == [("thinking_only", "A sesame?")]


def test_a_resumed_turn_keeps_the_thinking_of_the_process_before(room: CouncilRoom) -> None:
    room.provider.enqueue(THOUGHT, die)
    turn_id = room.take_until_killed("@writer @critic hello")
    room.provider.enqueue(answer("<think>Another sesame.</think>So."))
    room.resume(turn_id)
    assert told(room, ADMIN, turn_id) == ["A sesame?", None, "Another sesame."]
    assert "sesame" not in str([request.messages for request in room.provider.requests])


@pytest.mark.usefixtures("turn_id")
def test_thinking_goes_when_its_session_is_deleted(room: CouncilRoom) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    assert words_left(room, "sesame") == {}


@pytest.mark.usefixtures("turn_id")
def test_thinking_goes_when_the_retention_of_its_session_ends(room: CouncilRoom, ops: WatchedDatabase) -> None:
    room.owner.execute(
        "UPDATE sessions SET created_at = now() - interval '40 days', updated_at = now() - interval '40 days'"
    )
    assert delete_untouched(ops, 30, AMPLE_S) == 1
    assert words_left(room, "sesame") == {}


@pytest.mark.parametrize("role", [Role.APP, Role.OPS])
@pytest.mark.usefixtures("turn_id")
def test_thinking_goes_when_the_release_before_deletes_its_session(
    room: CouncilRoom, database_urls: DatabaseUrls, role: Role
) -> None:
    """That release sets the output of the session's calls, and knows no thinking."""
    with psycopg.connect(database_urls.of(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'tenant-1', true)")
        connection.execute("UPDATE llm_calls SET output = NULL")
    assert words_left(room, "sesame") == {}


def test_thinking_goes_when_the_session_is_deleted_while_its_turn_runs(room: CouncilRoom) -> None:
    def delete(_: object) -> Completion:
        record_session_deletion(room.open_database(), room.actor, room.session_id)
        return THOUGHT

    room.provider.enqueue(THOUGHT, delete)
    with pytest.raises(SessionDeleted):
        room.take("@writer @critic hello")
    assert words_left(room, "sesame") == {}


def test_thinking_that_is_left_in_a_deleted_session_breaks_an_invariant(
    room: CouncilRoom, turn_id: UUID, ops: WatchedDatabase
) -> None:
    record_session_deletion(room.db, room.actor, room.session_id)
    room.owner.execute("UPDATE llm_calls SET thinking = 'x' WHERE step = 0")
    assert set(broken_invariants(room.owner)) == {"of a deleted session no text is left once its turns have ended"}
    room.owner.execute("UPDATE llm_calls SET thinking = NULL")
