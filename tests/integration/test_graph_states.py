"""Tests the state that a graph's turn keeps for the next one. They need the extra `graphs`."""

import logging
import threading
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="the extra `graphs` is not installed")

from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import dict_row

from functions.graphs import checkpoints as module
from functions.graphs.checkpoints import Checkpoints, config_of, thread_id
from shared.db.protocol import LOAD_CHECKPOINT
from shared.errors import JournalUnavailable
from tests.support.council_room import body, names, unbilled
from tests.support.graph_lines import Graphs, asks, be_gone, line
from tests.support.graph_lines import graphs as graphs  # noqa: PLC0414 a fixture


def test_a_session_goes_on_from_the_state_of_its_last_turn(graphs: Graphs) -> None:
    room = graphs.desk.room

    def count(found: dict[str, Any]) -> dict[str, Any]:
        return {"count": found.get("count", 0) + 1, "thing": {"a": (1, None)}}

    graph = line(count, asks("writer"))
    room.provider.enqueue("Roses.", "Violets.", "Lilies.")
    for number in (1, 2, 3):
        # Another process each time.
        graphs.checkpoints = Checkpoints(room.db)
        graphs.take(graph, f"Message {number}")
        assert len(room.rows("SELECT FROM checkpoints")) == 1
    (stored,) = room.rows("SELECT checkpoint FROM checkpoints")
    assert stored["checkpoint"]["channel_values"]["count"] == 3
    blobs = room.rows("SELECT channel FROM checkpoint_blobs WHERE blob IS NOT NULL ORDER BY channel")
    assert [row["channel"] for row in blobs] == ["messages", "said", "thing"]
    said = [(message.role, message.text) for message in room.provider.requests[-1].messages[1:]]
    assert said == [
        ("user", "Message 1"),
        ("assistant", "Roses."),
        ("user", "Message 2"),
        ("assistant", "Violets."),
        ("user", "Message 3"),
    ]


def test_langgraphs_own_saver_reads_what_is_stored(graphs: Graphs) -> None:
    room, seen = graphs.desk.room, list[Any]()
    room.provider.enqueue("Roses.")

    def look(found: dict[str, Any]) -> dict[str, Any]:
        seen.append(found)
        return {"count": 7, "thing": {"a": [1]}}

    graph = line(asks("writer"), look)
    graphs.take(graph)
    with PostgresSaver.from_conn_string(room.owner_url) as saver:
        found = saver.get_tuple(config_of((room.tenant_id, graphs.desk.session_id)))
        assert found is not None
        values = found.checkpoint["channel_values"]
        assert (values["count"], values["thing"], values["messages"]) == (7, {"a": [1]}, seen[0]["messages"])
        # The saver itself writes the same rows for this checkpoint.
        tables = ("checkpoints", "checkpoint_blobs")
        ours = [room.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in tables]
        for table in tables:
            room.owner.execute(f"DELETE FROM {table}".encode())
        config = config_of((room.tenant_id, graphs.desk.session_id))
        saver.put(config, found.checkpoint, found.metadata, found.checkpoint["channel_versions"])
    assert [room.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in tables] == ours


def test_another_tenant_does_not_load_the_state(graphs: Graphs) -> None:
    room = graphs.desk.room
    graphs.take(line(asks("writer")))
    other = f"{room.tenant_id}:"
    store = Checkpoints(room.db)
    assert store._load((room.tenant_id, graphs.desk.session_id)) is not None
    rows = room.db.read(other, LOAD_CHECKPOINT, {"g_thread_id": thread_id((room.tenant_id, graphs.desk.session_id))})
    assert rows == []


@dataclass
class Own:
    word: str


INVALID = {
    "a function": {"thing": print},
    "a lock": {"thing": [threading.Lock()]},
    "a class of the graph's own": {"thing": [Own("x")]},
    "a NUL": {"thing": "a\x00b"},
    "no number": {"thing": float("nan")},
    "too much": {"thing": "x" * module.MAX_STATE_BYTES},
}


@pytest.mark.parametrize("thing", INVALID.values(), ids=INVALID)
def test_a_state_that_cannot_be_stored_ends_the_turn_as_failed_and_keeps_what_was_paid(
    graphs: Graphs, thing: dict[str, Any]
) -> None:
    room = graphs.desk.room
    graphs.take(line(asks("writer")))
    before = room.rows("SELECT * FROM checkpoints")
    room.provider.enqueue("Roses.")
    turn = graphs.take(line(asks("writer"), lambda _: thing))
    assert (turn["status"], turn["error"]["code"]) == ("failed", "graph_state_invalid")
    assert (turn["output"], names(turn["replies"])) == ("Roses.", [("writer", "completed", None)])
    assert room.rows("SELECT * FROM checkpoints") == before
    assert graphs.take(line(asks("writer")))["status"] == "completed"


def test_state_is_in_memory_with_one_warning_without_its_tables(
    graphs: Graphs, caplog: pytest.LogCaptureFixture
) -> None:
    room, graph = graphs.desk.room, line(asks("writer"))
    caplog.set_level(logging.INFO, "functions.graphs.checkpoints")
    room.owner.execute(b"ALTER TABLE checkpoint_writes RENAME TO gone")
    try:
        for _ in range(3):
            assert graphs.take(graph)["status"] == "completed"
    finally:
        room.owner.execute(b"ALTER TABLE gone RENAME TO checkpoint_writes")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "in memory only" in caplog.text
    assert len(room.provider.requests[-1].messages) == 6
    assert room.rows("SELECT FROM checkpoints") == []
    # A turn that is not published leaves memory as it was.
    room.provider.enqueue(unbilled("refused"))
    assert graphs.take(graph)["status"] == "failed"
    graphs.take(graph)
    assert len(room.provider.requests[-1].messages) == 8


def test_tables_of_another_version_are_not_used(graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
    room = graphs.desk.room
    room.owner.execute(b"INSERT INTO checkpoint_migrations VALUES (10)")
    try:
        graphs.take(line(asks("writer")))
    finally:
        room.owner.execute(b"DELETE FROM checkpoint_migrations WHERE v = 10")
    assert [(record.levelname, vars(record)["version"], vars(record)["expected"]) for record in caplog.records] == [
        ("WARNING", 10, 9)
    ]


def test_log_says_once_that_the_state_is_stored(graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "functions.graphs.checkpoints")
    for _ in range(3):
        graphs.take(line(asks("writer")))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "the checkpointer keeps the state of graphs in Postgres")
    ]


def test_a_state_that_cannot_be_loaded_now_leaves_the_turn_for_later(graphs: Graphs) -> None:
    room = graphs.desk.room
    turn_id = graphs.desk.post().turn_id
    room.db.before(LOAD_CHECKPOINT, be_gone)
    with pytest.raises(JournalUnavailable):
        room.resume(turn_id, graphs.runner(line(asks("writer"))))
    assert (room.provider.requests, room.row("SELECT status FROM turns")["status"]) == ([], "running")
    room.expire_lease()
    assert body(room.resume(turn_id, graphs.runner(line(asks("writer")))))["status"] == "completed"


def test_the_migration_makes_what_langgraphs_setup_makes(graphs: Graphs, empty_database: Any) -> None:
    room = graphs.desk.room
    shape = """SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default
        FROM information_schema.columns
        WHERE table_schema = 'public' AND starts_with(table_name, 'checkpoint') ORDER BY 1, 2"""
    indexes = """SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND starts_with(tablename, 'checkpoint') ORDER BY 1, 2"""
    with PostgresSaver.from_conn_string(empty_database.owner) as saver:
        saver.setup()
        cursor = saver.conn.cursor(row_factory=dict_row)
        for query in (shape, indexes, "SELECT v FROM checkpoint_migrations ORDER BY v"):
            assert room.rows(query) == cursor.execute(query.encode()).fetchall()
