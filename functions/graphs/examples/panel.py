"""Parallel branches: the researcher and the critic answer independently, and the writer joins their answers.

PANTHEON_GRAPHS=panel=functions.graphs.examples.panel:graph

The branches run one after the other, in the order of their nodes' names.
"""

from typing import Annotated, Any

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from functions.graphs.council_model import chat_model


def _merge(stored: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    return {**stored, **found}


class State(MessagesState):
    """`opinions` are the answers of the branches, by agent key."""

    opinions: Annotated[dict[str, str], _merge]


def _branch(agent_key: str) -> Any:
    def answer(state: State) -> dict[str, object]:
        return {"opinions": {agent_key: chat_model(agent_key).invoke(state["messages"]).text}}

    return answer


def conclude(state: State) -> dict[str, object]:
    opinions = "\n\n".join(f"{key}: {text}" for key, text in sorted(state["opinions"].items()))
    question = HumanMessage(f"Join these answers to one.\n\n{opinions}")
    return {"messages": [chat_model("writer").invoke([*state["messages"], question])]}


_builder = StateGraph(State)
for _key in ("researcher", "critic"):
    _builder.add_node(_key, _branch(_key))
    _builder.add_edge(START, _key)
    _builder.add_edge(_key, "conclude")
_builder.add_node("conclude", conclude)
_builder.add_edge("conclude", END)
graph = _builder.compile()
