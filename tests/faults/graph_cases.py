"""The graphs that faults are tried on. Each counts its turns in its state."""

from typing import Any

from langgraph.graph import END, START, MessagesState, StateGraph

from functions.graphs.council_model import chat_model
from shared.orchestration.growing_council import AskFailed


class State(MessagesState):
    count: int
    drafts: int


def _count(found: dict[str, Any]) -> dict[str, Any]:
    return {"count": found.get("count", 0) + 1, "drafts": 0}


def _ask(key: str) -> Any:
    def node(found: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"messages": [chat_model(key).invoke(found["messages"])]}
        except AskFailed:
            return {}

    return node


def _draft(found: dict[str, Any]) -> dict[str, Any]:
    return {**_ask("writer")(found), "drafts": found["drafts"] + 1}


def _build(*, loop: bool = False) -> StateGraph[Any]:
    builder = StateGraph(State)
    builder.add_node("count", _count)
    builder.add_edge(START, "count")
    if loop:
        builder.add_node("draft", _draft)
        builder.add_edge("count", "draft")
        builder.add_conditional_edges("draft", lambda found: END if found["drafts"] == 3 else "draft")
    else:
        for key in ("writer", "critic", "researcher"):
            builder.add_node(key, _ask(key))
    return builder


_line, _branches = _build(), _build()
for _earlier, _later in (("count", "writer"), ("writer", "critic"), ("critic", "researcher"), ("researcher", END)):
    _line.add_edge(_earlier, _later)
for _key in ("writer", "critic", "researcher"):
    _branches.add_edge("count", _key)
    _branches.add_edge(_key, END)
line, branches, loop = _line.compile(), _branches.compile(), _build(loop=True).compile()
