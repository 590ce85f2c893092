"""Tests the checkpoint that a graph's turn keeps for the next one: stored with the turn, one a session, deleted with
it.
"""

import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from shared.db.api.sessions import record_session_deletion
from shared.db.engine import Database
from shared.db.protocol import PUBLISH
from shared.errors import SessionDeleted
from shared.llm.port import Request
from shared.orchestration.growing_council import GrowingCouncil
from tests.support.council_room import CouncilRoom, Killed
from tests.support.graph_desk import Desk, Mode, ask
from tests.support.other_process import OtherProcess

NO_CHECKPOINT = "SELECT FROM checkpoints UNION ALL SELECT FROM checkpoint_blobs UNION ALL SELECT FROM checkpoint_writes"


def state(word: str) -> str:
    blob = {"channel": "messages", "version": "1", "type": "msgpack", "blob": "AAEC"}
    return json.dumps({"checkpoint_id": word, "checkpoint": {"v": 4}, "metadata": {}, "blobs": [blob]})


def keeping(word: str, *, then: Callable[[], None] = lambda: None) -> Mode:
    def mode(council: GrowingCouncil) -> None:
        ask(council, "writer")
        council.ended.state = state(word)
        then()

    return mode


def kept(room: CouncilRoom) -> list[str]:
    blobs = room.rows("SELECT thread_id FROM checkpoint_blobs ORDER BY thread_id")
    found = room.rows("SELECT thread_id, checkpoint_id FROM checkpoints ORDER BY thread_id")
    assert [row["thread_id"] for row in blobs] == [row["thread_id"] for row in found]
    return [row["checkpoint_id"] for row in found]


def test_session_keeps_one_checkpoint_and_other_sessions_keep_theirs(desk: Desk) -> None:
    for word in ("one", "two", "three"):
        assert desk.take(keeping(word))["status"] == "completed"
        assert kept(desk.room) == [word]
    first = desk.session_id
    desk.session_id = desk.room.make_session(mode="graph:here")
    desk.take(keeping("four"))
    assert kept(desk.room) == ["three", "four"]
    threads = [row["thread_id"] for row in desk.room.rows("SELECT thread_id FROM checkpoints ORDER BY thread_id")]
    assert threads == [f"{desk.room.tenant_id}:{each}" for each in (first, desk.session_id)]


def test_failed_turn_keeps_the_checkpoint_before_it(desk: Desk) -> None:
    def fail() -> None:
        raise KeyError

    desk.take(keeping("one"))
    assert desk.take(keeping("two", then=fail))["status"] == "failed"
    assert kept(desk.room) == ["one"]


def test_checkpoint_is_gone_when_the_publish_is_rolled_back(desk: Desk) -> None:
    room = desk.room
    desk.take(keeping("one"))
    turn_id = desk.post().turn_id
    room.db.hold(PUBLISH, die)
    with pytest.raises(Killed):
        room.resume(turn_id, desk.runner(keeping("two")))
    assert kept(room) == ["one"]
    room.expire_lease()
    assert desk.run(turn_id, keeping("two"))["status"] == "completed"
    assert kept(room) == ["two"]


def test_checkpoint_becomes_visible_with_the_turn(desk: Desk) -> None:
    room, seen = desk.room, list[Any]()
    room.db.hold(PUBLISH, lambda: seen.append((kept(room), room.row("SELECT status FROM turns")["status"])))
    desk.take(keeping("one"))
    assert seen == [([], "running")]
    assert kept(room) == ["one"]


def test_checkpoint_is_deleted_with_its_session(desk: Desk) -> None:
    desk.take(keeping("one"))
    desk.room.owner.execute(
        "INSERT INTO checkpoint_writes SELECT thread_id, '', '1', '1', 0, 'x', NULL, '' FROM checkpoints"
    )
    delete(desk)
    assert desk.room.rows(NO_CHECKPOINT) == []


def test_turn_of_a_deleted_session_keeps_no_checkpoint(desk: Desk) -> None:
    turn_id = desk.post().turn_id
    with pytest.raises(SessionDeleted):
        desk.run(turn_id, keeping("one", then=lambda: delete(desk)))
    assert desk.room.rows(NO_CHECKPOINT) == []


def test_deletion_during_the_publish_deletes_the_checkpoint(desk: Desk, other: OtherProcess) -> None:
    room, started = desk.room, list[Future[Any]]()

    def begin() -> None:
        started.append(other.start(lambda: delete(desk, other.db)))
        room.wait_until_blocked()

    room.db.hold(PUBLISH, begin)
    desk.take(keeping("one"))
    started[0].result(30)
    assert room.rows(NO_CHECKPOINT) == []


def test_cancelled_turn_keeps_no_checkpoint(desk: Desk) -> None:
    room = desk.room

    def cancel(_: Request) -> str:
        room.owner.execute("UPDATE turns SET cancel_requested_at = clock_timestamp()")
        return "Roses."

    room.provider.enqueue(cancel)
    assert desk.take(keeping("one"))["status"] == "cancelled"
    assert room.rows(NO_CHECKPOINT) == []


def die() -> None:
    raise Killed


def delete(desk: Desk, db: Database | None = None) -> None:
    record_session_deletion(db or desk.room.open_database(), desk.room.actor, desk.session_id)
