"""Tests by rows who sees and changes a session. Each statement decides alone, when it runs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.db import turns
from shared.db.api import history, sessions
from shared.db.api.audit import load_audit
from shared.db.api.calls import load_turn_calls
from shared.db.api.export import load_export
from shared.db.api.history import load_turns, record_cancel
from shared.db.api.pages import PageRequest
from shared.db.api.sessions import (
    load_session,
    load_sessions,
    record_session_change,
    record_session_deletion,
)
from shared.db.api.summaries import load_archive, load_summaries
from shared.db.protocol import ACCEPT
from shared.db.turns import load_snapshot, load_turn
from shared.domain.actor import Actor
from shared.errors import Forbidden, NotFound, PantheonError, SessionDeleted
from shared.operations.retention import delete_untouched
from tests.support.council_room import AMPLE_S, CouncilRoom, Killed, body
from tests.support.watched_database import WatchedDatabase

COLLEAGUE = Actor("tenant-1", "user-2")
ADMIN = Actor("tenant-1", "root", is_admin=True)
FOREIGNER = Actor("tenant-2", "user-1", is_admin=True)
# Every read of a session or a turn, with its error for an actor without access.
READS: dict[str, Callable[[CouncilRoom, Actor, UUID, UUID], Any]] = {
    "session": lambda room, actor, session_id, _: load_session(room.db, actor, session_id),
    "turns": lambda room, actor, session_id, _: load_turns(room.db, actor, session_id, PageRequest()),
    "summaries": lambda room, actor, session_id, _: load_summaries(room.db, actor, session_id, PageRequest()),
    "archive": lambda room, actor, session_id, _: load_archive(room.db, actor, session_id, PageRequest()),
    "export": lambda room, actor, session_id, _: load_export(room.db, actor, session_id, None),
    "turn": lambda room, actor, _, turn_id: load_turn(room.db, actor, turn_id),
    "snapshot": lambda room, actor, _, turn_id: load_snapshot(room.db, actor, turn_id),
    "calls": lambda room, actor, _, turn_id: load_turn_calls(room.db, actor, turn_id),
    "audit": lambda room, actor, _, turn_id: load_audit(room.db, actor, turn_id),
}
WRITES: dict[str, Callable[[CouncilRoom, Actor, UUID, UUID], Any]] = {
    "change": lambda room, actor, session_id, _: record_session_change(room.db, actor, session_id, {"title": "New"}),
    "share": lambda room, actor, session_id, _: record_session_change(
        room.db, actor, session_id, {"visibility": "tenant"}
    ),
    "delete": lambda room, actor, session_id, _: record_session_deletion(room.db, actor, session_id),
    "cancel": lambda room, actor, _, turn_id: record_cancel(room.db, actor, turn_id),
}


def share(room: CouncilRoom, visibility: str = "tenant") -> None:
    record_session_change(room.open_database(), room.actor, room.session_id, {"visibility": visibility})


def died(room: CouncilRoom) -> UUID:
    """A turn whose process died."""

    def die(_: object) -> str:
        raise Killed

    room.provider.enqueue(die)
    return room.take_until_killed("@writer hello")


@pytest.mark.parametrize("name", READS)
def test_a_read_shows_a_private_session_to_its_creator_and_admins_only(room: CouncilRoom, name: str) -> None:
    turn_id = room.take("@writer hello").turn_id
    read = READS[name]
    for actor in (room.actor, ADMIN, Actor.service(room.tenant_id)):
        assert read(room, actor, room.session_id, turn_id) is not None
    for actor in (COLLEAGUE, FOREIGNER):
        with pytest.raises(NotFound) as hidden:
            read(room, actor, room.session_id, turn_id)
        with pytest.raises(NotFound) as absent:
            read(room, actor, uuid4(), uuid4())
        assert hidden.value.detail == absent.value.detail
    share(room)
    assert read(room, COLLEAGUE, room.session_id, turn_id) is not None
    with pytest.raises(NotFound):
        read(room, FOREIGNER, room.session_id, turn_id)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    ("actor", "visibility", "refusal"),
    [
        (COLLEAGUE, "private", NotFound),
        (COLLEAGUE, "tenant", Forbidden),
        (FOREIGNER, "private", NotFound),
        (FOREIGNER, "tenant", NotFound),
    ],
)
def test_a_refused_write_changes_no_row(
    room: CouncilRoom, name: str, actor: Actor, visibility: str, refusal: type[PantheonError]
) -> None:
    turn_id = died(room)
    share(room, visibility)
    stored = ("SELECT * FROM sessions", "SELECT * FROM turns", "SELECT * FROM llm_calls")
    before = [room.rows(query) for query in stored]
    with pytest.raises(refusal):
        WRITES[name](room, actor, room.session_id, turn_id)
    assert [room.rows(query) for query in stored] == before
    room.resume(turn_id)


@pytest.mark.parametrize("actor", [Actor("tenant-1", "user-1"), ADMIN], ids=["creator", "admin"])
@pytest.mark.parametrize("name", WRITES)
def test_the_creator_and_admins_write(room: CouncilRoom, name: str, actor: Actor) -> None:
    turn_id = died(room)
    WRITES[name](room, actor, room.session_id, turn_id)
    row = room.row(
        """SELECT title, visibility, s.deleted_at IS NOT NULL AS deleted, cancel_requested_at IS NOT NULL AS cancelled
        FROM sessions s JOIN turns t ON t.session_id = s.id"""
    )
    untouched = {"title": "Talk", "visibility": "private", "deleted": False, "cancelled": False}
    changes: dict[str, dict[str, object]] = {
        "change": {"title": "New"},
        "share": {"visibility": "tenant"},
        "delete": {"title": "", "deleted": True},
        "cancel": {"cancelled": True},
    }
    assert row == untouched | changes[name]
    if name == "delete":
        with pytest.raises(SessionDeleted):
            room.resume(turn_id)
    else:
        room.resume(turn_id)


def test_a_session_without_a_given_visibility_is_private_and_one_of_the_release_before_is_the_tenants(
    room: CouncilRoom,
) -> None:
    # The release before does not know the column.
    room.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys)
        SELECT gen_random_uuid(), tenant_id, user_id, 'old', mode, fan_out, agent_keys FROM sessions"""
    )
    found = {row["title"]: row["visibility"] for row in load_sessions(room.db, ADMIN, PageRequest()).items}
    assert found == {"Talk": "private", "old": "tenant"}
    assert [row["title"] for row in load_sessions(room.db, COLLEAGUE, PageRequest()).items] == ["old"]


def test_a_turn_of_a_member_in_anothers_session_is_the_members_to_cancel_while_it_sees_it(room: CouncilRoom) -> None:
    share(room)
    turn_id = room.take("@writer hello", user_id=COLLEAGUE.user_id, later=True).turn_id
    assert record_cancel(room.db, COLLEAGUE, turn_id).status == "accepted"
    with pytest.raises(Forbidden):
        record_cancel(room.db, Actor("tenant-1", "user-3"), turn_id)
    room.owner.execute("UPDATE turns SET cancel_requested_at = NULL")
    share(room, "private")
    with pytest.raises(NotFound):
        record_cancel(room.db, COLLEAGUE, turn_id)
    assert room.row("SELECT cancel_requested_at FROM turns") == {"cancel_requested_at": None}
    room.resume(turn_id)


class TestPosting:
    def test_a_private_session_takes_the_turns_of_its_creator_and_admins_only(self, room: CouncilRoom) -> None:
        with pytest.raises(NotFound):
            room.take("@writer hello", user_id="user-2")
        assert room.provider.requests == []
        assert room.take("@writer hello", user_id="root", is_admin=True).published
        assert room.take("@writer hello").published
        share(room)
        assert room.take("@writer hello", user_id="user-2").published

    def test_context_of_an_invisible_session_has_no_text(self, room: CouncilRoom) -> None:
        loaded: list[Any] = []
        room.owner.execute("UPDATE sessions SET title = 'About sesame'")
        room.take("@writer sesame", idempotency_key="key-1")
        once = room.db.read

        def read(*work: Any, **options: Any) -> Any:
            loaded.append(once(*work, **options))
            return loaded[-1]

        room.db.read = read  # type: ignore[method-assign]
        with pytest.raises(NotFound):
            room.take("@writer sesame", user_id="user-2", idempotency_key="key-1")
        ((row,),) = loaded
        assert "sesame" not in str(row)
        assert (row["session"], row["history"], row["agents"]) == (None, None, None)

    @pytest.mark.parametrize("later", [False, True], ids=["here", "later"])
    def test_a_session_that_becomes_private_before_the_turn_is_accepted_takes_none(
        self, room: CouncilRoom, later: bool
    ) -> None:
        share(room)
        room.db.before(ACCEPT, lambda: share(room, "private"))
        with pytest.raises(NotFound):
            room.take("@writer hello", user_id="user-2", later=later)
        assert room.provider.requests == []
        assert room.rows("SELECT id FROM turns") == []

    def test_accepting_waits_for_a_change_of_the_visibility_and_sees_it(self, room: CouncilRoom) -> None:
        share(room)
        owner = room.open_database()
        with ThreadPoolExecutor() as pool:
            private = Actor("tenant-1", "user-1")
            posted: list[Any] = []

            def post() -> None:
                posted.append(pool.submit(room.take, "@writer hello", user_id="user-2"))
                time.sleep(0.3)
                assert not posted[0].done()

            owner.hold(sessions._CHANGE, post)
            record_session_change(owner, private, room.session_id, {"visibility": "private"})
            with pytest.raises(NotFound):
                posted[0].result()
        assert room.rows("SELECT id FROM turns") == []

    def test_a_turn_that_was_accepted_ends_though_its_poster_no_longer_sees_the_session(
        self, room: CouncilRoom
    ) -> None:
        share(room)

        def hide(_: object) -> str:
            share(room, "private")
            return "Roses."

        room.provider.enqueue(hide)
        outcome = room.take("@writer @critic hello", user_id="user-2")
        assert (outcome.status, len(body(outcome)["replies"])) == ("completed", 2)

    def test_a_replay_of_a_running_turn_is_not_shown_once_the_session_is_private(self, room: CouncilRoom) -> None:
        share(room)
        later = room.take("@writer hello", idempotency_key="key-1", later=True)
        outcome = room.take("@writer hello", user_id="user-2", idempotency_key="key-1")
        assert outcome.turn_id == later.turn_id
        # The second read of a replay, after the one that found the key.
        room.db.before(turns._LOAD, lambda: share(room, "private"))
        with pytest.raises(SessionDeleted):
            room.take("@writer hello", user_id="user-2", idempotency_key="key-1")
        room.resume(later.turn_id)


def test_a_page_of_turns_ends_when_the_session_becomes_private_before_its_last_turn_is_read(room: CouncilRoom) -> None:
    share(room)
    turn_id = room.take("@writer hello", later=True).turn_id
    room.db.hold(history._LIST["desc"], lambda: share(room, "private"))
    with pytest.raises(NotFound):
        load_turns(room.db, COLLEAGUE, room.session_id, PageRequest())
    room.resume(turn_id)


def test_retention_and_workers_reach_private_sessions(room: CouncilRoom, ops: WatchedDatabase) -> None:
    outcome = room.resume(died(room))
    assert outcome is not None
    assert outcome.published
    room.owner.execute("UPDATE sessions SET created_at = now() - interval '9 days', updated_at = created_at")
    room.owner.execute("UPDATE sessions SET updated_at = created_at")
    assert delete_untouched(ops, 8, AMPLE_S) == 1
    assert room.rows("SELECT FROM turns WHERE response IS NOT NULL") == []
