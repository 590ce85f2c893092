"""Compiled graphs of LangGraph for tests, and the function for graphs that runs them."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, MessagesState, StateGraph

from functions.graphs.checkpoints import Checkpoints
from functions.graphs.council_model import chat_model
from functions.graphs.executor import Compiled, run_graph
from shared.errors import DatabaseUnavailable
from shared.llm.port import Request
from shared.turns.run import Runner
from tests.support.council_room import ALIASES, Killed, body
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
