"""A loop: the writer drafts, and the critic sends the draft back until it approves.

PANTHEON_GRAPHS=review=functions.graphs.examples.review:graph
"""

from typing import Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from functions.graphs.council_model import chat_model

MOST_DRAFTS: Final = 3
APPROVED: Final = "APPROVED"


class State(MessagesState):
    """`messages` has the conversation of all turns. The other fields are of this turn."""

    request: str
    drafts: int
    draft: str
    verdict: str


def begin(state: State) -> dict[str, object]:
    return {"request": state["messages"][-1].text, "drafts": 0, "draft": "", "verdict": ""}


def write(state: State) -> dict[str, object]:
    """Ask for a draft that answers the critic's last verdict."""
    asked: list[AnyMessage] = list(state["messages"])
    if state["draft"]:
        asked += [AIMessage(state["draft"]), HumanMessage(f"Improve your draft. The critic says: {state['verdict']}")]
    return {"draft": chat_model("writer").invoke(asked).text, "drafts": state["drafts"] + 1}


def criticise(state: State) -> dict[str, object]:
    question = f"Reply {APPROVED} if this answers the request. Otherwise say what is missing.\n\n"
    question += f"The request: {state['request']}\n\nThe draft: {state['draft']}"
    return {"verdict": chat_model("critic").invoke([HumanMessage(question)]).text}


def decide(state: State) -> str:
    return "deliver" if APPROVED in state["verdict"] or state["drafts"] >= MOST_DRAFTS else "write"


def deliver(state: State) -> dict[str, object]:
    """Make the draft the turn's output, instead of the critic's verdict."""
    return {"messages": [AIMessage(state["draft"])]}


_builder = StateGraph(State)
for _node in (begin, write, criticise, deliver):
    _builder.add_node(_node.__name__, _node)
_builder.add_edge(START, "begin")
_builder.add_edge("begin", "write")
_builder.add_edge("write", "criticise")
_builder.add_conditional_edges("criticise", decide, ["write", "deliver"])
_builder.add_edge("deliver", END)
graph = _builder.compile()
