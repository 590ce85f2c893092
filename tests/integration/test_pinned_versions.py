"""Tests that the versions that a turn has pinned exist as long as the turn, whatever happens to their agent."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest

from shared.db.api.agents import KEPT_VERSIONS, record_agent_change, record_agent_deletion
from shared.db.api.keyed_rows import PUT
from shared.db.engine import Database
from shared.db.protocol import ACCEPT
from shared.errors import NoAgent
from shared.llm.port import Request
from tests.support.council_room import DEADLINE_S, CouncilRoom, Killed, body, prompt

# This number of changes deletes an agent's first version if it is not pinned.
CHANGES = KEPT_VERSIONS + 5
MESSAGE = "@writer hello"
MISSING = """SELECT t.id, r.key, r.version FROM turns t, jsonb_to_recordset(t.roster) AS r (key text, version integer)
    WHERE NOT EXISTS (SELECT FROM agent_versions v
        WHERE v.tenant_id = t.tenant_id AND v.key = r.key AND v.version = r.version AND v.pinned)"""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def change(room: CouncilRoom, db: Database, key: str = "writer", times: int = CHANGES) -> None:
    for number in range(times):
        fields = room.agent_body(key, role_prompt=f"You write, number {number}.")
        record_agent_change(db, room.tenant_id, key, fields)


def kept(room: CouncilRoom, key: str = "writer") -> list[int]:
    query = "SELECT version FROM agent_versions WHERE key = %s ORDER BY version"
    return [row["version"] for row in room.rows(query, key)]


def die(_: Request) -> str:
    raise Killed


def test_a_turn_pins_each_version_once(room: CouncilRoom) -> None:
    assert {row["pinned"] for row in room.rows("SELECT pinned FROM agent_versions")} == {False}
    room.take(MESSAGE)
    rows = room.rows("SELECT key, pinned, xmin::text FROM agent_versions ORDER BY key")
    assert [(row["key"], row["pinned"]) for row in rows] == [("critic", True), ("researcher", True), ("writer", True)]
    room.take(MESSAGE)
    assert room.rows("SELECT key, pinned, xmin::text FROM agent_versions ORDER BY key") == rows


def test_a_resumed_turn_loads_the_versions_that_it_pinned(room: CouncilRoom) -> None:
    room.provider.enqueue(die)
    turn_id = room.take_until_killed(MESSAGE)
    change(room, room.db)
    assert kept(room) == [1, *range(CHANGES + 2 - KEPT_VERSIONS, CHANGES + 2)]
    record_agent_deletion(room.db, room.tenant_id, "writer")
    assert body(room.resume(turn_id))["status"] == "completed"
    assert "You are the writer." in prompt(room.provider.requests[-1])


def test_a_version_that_is_deleted_after_loading_is_loaded_again(room: CouncilRoom) -> None:
    room.db.before(ACCEPT, partial(change, room, room.open_database()))
    turn = body(room.take(MESSAGE))
    assert (turn["turn_index"], turn["replies"][0]["agent_version"]) == (1, CHANGES + 1)
    assert len(room.provider.requests) == 1
    assert room.rows(MISSING) == []


def test_an_agent_that_is_deleted_after_loading_is_not_asked(room: CouncilRoom) -> None:
    session_id = room.make_session(agent_keys=["writer"])

    def delete() -> None:
        change(room, room.db, times=1)
        record_agent_deletion(room.db, room.tenant_id, "writer")

    room.db.before(ACCEPT, delete)
    with pytest.raises(NoAgent):
        room.take(MESSAGE, session_id=session_id)
    assert (room.rows("SELECT id FROM turns"), room.provider.requests) == ([], [])


def test_a_change_that_waits_for_a_turn_keeps_what_the_turn_pinned(room: CouncilRoom, pool: ThreadPoolExecutor) -> None:
    other, changed = room.open_database(), list[Future[None]]()
    change(room, room.db, times=KEPT_VERSIONS - 1)

    def begin() -> None:
        changed.append(pool.submit(change, room, other))
        room.wait_until_blocked()

    # The next change deletes the versions before the one that this turn has loaded, and the next 20 delete this one.
    room.db.hold(ACCEPT, begin, "pinned")
    version = body(room.take(MESSAGE))["replies"][0]["agent_version"]
    changed[0].result(DEADLINE_S)
    assert version == KEPT_VERSIONS
    assert version in kept(room)
    assert room.rows(MISSING) == []


def test_a_turn_that_waits_for_a_deletion_loads_again(room: CouncilRoom, pool: ThreadPoolExecutor) -> None:
    other, changed, deleted = room.open_database(), list[Future[None]](), threading.Event()

    def hold() -> None:
        deleted.set()
        room.wait_until_blocked()

    def delete_what_is_loaded() -> None:
        change(room, other, times=KEPT_VERSIONS - 1)
        other.hold(PUT["agent"], hold, "forgotten")
        changed.append(pool.submit(change, room, other, times=1))
        assert deleted.wait(DEADLINE_S)

    room.db.before(ACCEPT, delete_what_is_loaded)
    assert body(room.take(MESSAGE))["replies"][0]["agent_version"] == KEPT_VERSIONS + 1
    changed[0].result(DEADLINE_S)
    assert room.rows(MISSING) == []


def test_turns_and_changes_at_once_lose_no_version(room: CouncilRoom, pool: ThreadPoolExecutor) -> None:
    done = threading.Event()
    keys = ("writer", "critic", "researcher")

    def post(session_id: UUID) -> int:
        runner, turns = room.runner(db=room.open_database()), 0
        while not done.is_set():
            assert body(room.take("@writer @critic hello", runner=runner, session_id=session_id))["turn_index"]
            turns += 1
        return turns

    posting = [pool.submit(post, room.make_session()) for _ in range(3)]
    changing = [pool.submit(change, room, room.open_database(), key, CHANGES) for key in keys]
    for each in changing:
        each.result(DEADLINE_S)
    done.set()
    assert min(each.result(DEADLINE_S) for each in posting) >= 1
    assert room.rows(MISSING) == []
    for key in keys:
        assert kept(room, key)[-KEPT_VERSIONS:] == list(range(CHANGES + 2 - KEPT_VERSIONS, CHANGES + 2))
        pinned = room.rows("SELECT FROM agent_versions WHERE key = %s AND pinned", key)
        assert len(kept(room, key)) <= KEPT_VERSIONS + len(pinned)
