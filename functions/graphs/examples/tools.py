"""Tools: the researcher may ask for a calculation or for a page of this machine, up to a limit.

PANTHEON_GRAPHS=tools=functions.graphs.examples.tools:graph

Agents answer in text. So the researcher asks for a tool by one line of JSON, which a node turns into a tool call.
"""

import ast
import json
import operator
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from functions.graphs.council_model import chat_model

MOST_CALLS: Final = 5
_FETCH_S: Final = 5.0
_MOST_CHARACTERS: Final = 4000
_HELP: Final = """To use a tool, reply with one line of JSON and nothing else:
{"tool": "calculate", "expression": "6 * 7"}
{"tool": "fetch", "url": "http://127.0.0.1:8080/page"}
Otherwise reply with your answer."""
_OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@tool
def calculate(expression: str) -> str:
    """Calculate an expression of numbers, + - * / and brackets."""
    try:
        return f"{_value(ast.parse(expression, mode='eval').body):g}"
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError, OverflowError) as error:
        return f"This cannot be calculated ({type(error).__name__})."


@tool
def fetch(url: str) -> str:
    """Fetch a page of this machine."""
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        return "Only pages of 127.0.0.1 can be fetched."
    try:
        return httpx.get(url, timeout=_FETCH_S, trust_env=False).text[:_MOST_CHARACTERS]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"The page cannot be fetched ({type(error).__name__})."


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            return _OPERATORS[type(kind)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
    raise ValueError("not a number, + - * / or a bracket")


def research(state: MessagesState) -> dict[str, object]:
    """Ask the researcher. A request for a tool becomes a tool call whose id is the same in a rerun."""
    reply = chat_model("researcher").invoke([HumanMessage(_HELP), *_as_text(state["messages"])])
    return {"messages": [_with_call(reply.text, len(state["messages"]))]}


def _as_text(messages: list[AnyMessage]) -> list[AnyMessage]:
    """Return the conversation with the results of tools as the user's messages."""
    return [
        HumanMessage(f"The tool {message.name} says: {message.text}") if isinstance(message, ToolMessage) else message
        for message in messages
    ]


def _with_call(text: str, place: int) -> AIMessage:
    try:
        wanted: Any = json.loads(text)
        name = wanted.pop("tool")
    except (ValueError, KeyError, AttributeError, TypeError):
        return AIMessage(text)
    return AIMessage(text, tool_calls=[{"name": str(name), "args": wanted, "id": f"call-{place}"}])


def decide(state: MessagesState) -> str:
    """Choose the tools if the last reply asks for one and the turn is below its limit."""
    last = state["messages"][-1]
    this_turn: list[AnyMessage] = []
    for message in reversed(state["messages"]):
        if isinstance(message, HumanMessage):
            break
        this_turn.append(message)
    used = sum(isinstance(message, ToolMessage) for message in this_turn)
    return "tools" if isinstance(last, AIMessage) and last.tool_calls and used < MOST_CALLS else END


_builder = StateGraph(MessagesState)
_builder.add_node("research", research)
_builder.add_node("tools", ToolNode([calculate, fetch]))
_builder.add_edge(START, "research")
_builder.add_conditional_edges("research", decide, ["tools", END])
_builder.add_edge("tools", "research")
graph = _builder.compile()
