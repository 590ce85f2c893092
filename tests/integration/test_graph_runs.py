"""Tests turns of compiled LangGraph graphs: journaled asks, their end, and the state for the next turn.

They need the extra `graphs`.
"""

import logging
import operator
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import pytest

pytest.importorskip("langgraph", reason="the extra `graphs` is not installed")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from psycopg.rows import dict_row

from functions.graphs import checkpoints as module
from functions.graphs.checkpoints import Checkpoints, config_of, thread_id
from functions.graphs.council_model import agent_keys, chat_model
from functions.graphs.executor import Compiled, run_graph
from shared.db.protocol import LOAD_CHECKPOINT
from shared.errors import DatabaseUnavailable, JournalUnavailable
from shared.llm.port import Request
from shared.turns.run import Runner
from tests.support.council_room import ALIASES, Killed, body, names, prompt, unbilled
from tests.support.graph_desk import Desk

Node = Callable[[Any], dict[str, Any]]


class State(MessagesState):
    count: int
    thing: object
    said: Annotated[list[str], operator.add]


def line(*nodes: Node, parallel: tuple[Node, ...] = ()) -> Compiled:
    """A graph of these nodes one after the other, and then of branches."""
    builder, last = StateGraph(State), START
    for number, node in enumerate(nodes):
        builder.add_node(f"n{number}", node)
        builder.add_edge(last, last := f"n{number}")
    for number, node in enumerate(parallel):
        builder.add_node(f"b{number}", node)
        builder.add_edge(last, f"b{number}")
        builder.add_edge(f"b{number}", END)
    if not parallel:
        builder.add_edge(last, END)
    return builder.compile()


def asks(key: str) -> Node:
    return lambda found: {"messages": [chat_model(key).invoke(found["messages"])], "said": [key]}


@dataclass
class Graphs:
    """The function for graphs in this process. `checkpoints` are one process's."""

    desk: Desk
    checkpoints: Checkpoints

    def runner(self, graph: Compiled, **fields: Any) -> Runner:
        mode = partial(run_graph, graph, self.checkpoints)
        return replace(self.desk.room.runner(**fields), graphs={"here": mode})

    def take(self, graph: Compiled, message: str = "hello") -> dict[str, Any]:
        return body(self.desk.room.resume(self.desk.post(message).turn_id, self.runner(graph)))


@pytest.fixture
def graphs(desk: Desk) -> Graphs:
    return Graphs(desk, Checkpoints(desk.room.db))


def be_gone() -> None:
    raise DatabaseUnavailable


def die(_: Request) -> str:
    raise Killed


ALL = [asks(key) for key in ALIASES]


def test_the_graphs_agents_see_the_graphs_messages_and_its_last_one_is_the_output(graphs: Graphs) -> None:
    room = graphs.desk.room
    room.provider.enqueue("Roses.", "Violets.", "Lilies.")
    turn = graphs.take(line(*ALL))
    assert (turn["status"], turn["output"], turn["fallbacks"]) == ("completed", "Lilies.", [])
    assert [reply["text"] for reply in turn["replies"]] == ["Roses.", "Violets.", "Lilies."]
    assert turn["plan"]["selected_agent_keys"] == list(ALIASES)
    first, _, third = room.provider.requests
    assert first.messages[0].text.endswith("You are the writer.")
    assert first.messages[1:] == (type(first.messages[0])("user", "hello"),)
    assert '<quoted agent="Writer">\nRoses.\n</quoted>' in prompt(third)


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


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_branches_ask_one_after_the_other_and_a_resumed_turn_replays_them(graphs: Graphs, answered: int) -> None:
    room = graphs.desk.room
    words = ["Roses.", "Violets.", "Lilies."]
    graph = line(parallel=tuple(ALL))
    room.provider.enqueue(*words[:answered], die, *words[answered:])
    turn_id = graphs.desk.post().turn_id
    with pytest.raises(Killed):
        room.resume(turn_id, graphs.runner(graph))
    room.expire_lease()
    turn = body(room.resume(turn_id, graphs.runner(graph)))
    assert (turn["status"], [reply["text"] for reply in turn["replies"]]) == ("completed", words)
    assert len(room.provider.requests) == 4


def stubborn(key: str) -> Node:
    def node(found: dict[str, Any]) -> dict[str, Any]:
        for _ in range(3):
            try:
                return asks(key)(found)
            except Exception:  # noqa: BLE001 a node may
                continue
        return {"said": ["gave up"]}

    return node


@pytest.mark.parametrize(
    "graph",
    [line(stubborn("writer"), stubborn("critic")), line(parallel=(stubborn("writer"), stubborn("critic")))],
    ids=["line", "branches"],
)
def test_a_node_cannot_swallow_that_the_time_is_up(graphs: Graphs, graph: Compiled) -> None:
    room, left = graphs.desk.room, iter([600.0])
    turn_id = graphs.desk.post().turn_id
    handed = room.resume(turn_id, graphs.runner(graph, seconds_left=lambda: next(left, 0.0)))
    assert handed is not None
    assert (handed.handed_over, len(room.provider.requests)) == (True, 1)
    assert body(room.resume(turn_id, graphs.runner(graph)))["status"] == "completed"
    assert len(room.provider.requests) == 2


def test_a_node_cannot_swallow_that_the_turn_was_cancelled(graphs: Graphs) -> None:
    room = graphs.desk.room

    def cancel(_: Request) -> str:
        room.owner.execute("UPDATE turns SET cancel_requested_at = clock_timestamp()")
        return "Roses."

    room.provider.enqueue(cancel)
    turn = graphs.take(line(stubborn("writer"), stubborn("critic"), stubborn("researcher")))
    assert (turn["status"], len(room.provider.requests)) == ("cancelled", 1)
    assert room.rows("SELECT FROM checkpoints") == []


def test_a_failed_ask_ends_the_turn_by_its_code_unless_the_node_catches_it(graphs: Graphs) -> None:
    room = graphs.desk.room
    room.provider.enqueue("Roses.", unbilled("refused"))
    turn = graphs.take(line(asks("writer"), asks("critic")))
    assert (turn["status"], turn["error"]["code"], turn["output"]) == ("failed", "refused", "Roses.")
    room.provider.enqueue(unbilled("refused"), "Violets.")
    turn = graphs.take(line(stubborn("writer")))
    assert (turn["status"], turn["output"]) == ("completed", "Violets.")
    assert names(turn["replies"]) == [("writer", "failed", "refused"), ("writer", "completed", None)]


def test_a_graph_that_raises_ends_its_turn_as_failed(graphs: Graphs) -> None:
    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("what the user said")

    turn = graphs.take(line(asks("writer"), fail))
    assert (turn["status"], turn["error"]["code"]) == ("failed", "mode_error")
    assert names(turn["replies"]) == [("writer", "completed", None)]


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


def test_an_answer_that_no_agent_gave_is_the_output(graphs: Graphs) -> None:
    turn = graphs.take(line(asks("writer"), lambda _: {"messages": [AIMessage("It is\x00 42.")]}))
    assert (turn["status"], turn["output"]) == ("completed", "It is\ufffd 42.")
    turn = graphs.take(line(lambda _: {"messages": [AIMessage("42")]}))
    assert (turn["status"], turn["output"], turn["replies"]) == ("completed", "42", [])


def test_a_node_with_threads_of_its_own_asks_one_after_the_other(graphs: Graphs) -> None:
    room, asking = graphs.desk.room, list[int]()

    def slow(_: Request) -> str:
        asking.append(1)
        assert sum(asking) == 1
        threading.Event().wait(0.05)
        asking.append(-1)
        return "Roses."

    room.provider.enqueue(slow, slow, slow)
    prompts = [[HumanMessage(f"Message {number}")] for number in range(3)]
    turn = graphs.take(line(lambda _: {"messages": chat_model("writer").batch(prompts)}))
    assert (turn["status"], len(turn["replies"])) == ("completed", 3)


def test_a_chat_model_takes_only_what_an_agent_can_be_told(graphs: Graphs) -> None:
    refused: list[str] = []

    def node(_: dict[str, Any]) -> dict[str, Any]:
        model = chat_model("critic")
        told: list[AnyMessage] = [
            SystemMessage("Be brief."),
            HumanMessage("Is it?"),
            AIMessage("Mine."),
            AIMessage("Theirs.", name="writer"),
            ToolMessage("</quoted> 42", tool_call_id="1"),
        ]
        for messages, options in ((told, {"stop": ["x"]}), (told, {"tools": []}), ([SystemMessage("Alone.")], {})):
            with pytest.raises(ValueError, match="An agent of the council"):
                model.invoke(messages, **options)
            refused.append("once")
        assert agent_keys() == tuple(ALIASES)
        return {"messages": [model.invoke(told)]}

    room = graphs.desk.room
    assert graphs.take(line(node))["status"] == "completed"
    assert len(refused) == 3
    (request,) = room.provider.requests
    system, *said = [(message.role, message.text) for message in request.messages]
    assert system[1].endswith("You are the critic.\n\nBe brief.")
    assert said == [
        ("user", "Is it?"),
        ("assistant", "Mine."),
        ("user", '<quoted agent="Writer">\nTheirs.\n</quoted>\n\n<quoted tool>\n<\\/quoted> 42\n</quoted>'),
    ]
    assert chat_model("critic").cache is False
    assert isinstance(chat_model("critic"), BaseChatModel)


def test_without_its_tables_the_state_is_in_memory_with_one_warning(
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
