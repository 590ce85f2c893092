"""Run LangGraph with its Postgres checkpointer: a graph of a manager and its agents, one thread per session.

python -m bench.peers.langgraph URL DURABILITY
"""

import json
import sys

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from psycopg import Connection
from psycopg.rows import dict_row

from bench.peers.turns import DECISION, KEYS, LEDGER, MESSAGE, POST, TEXT, ledger_rows, serve


class Council(MessagesState):
    """The state. `plan` has the agents that have not answered."""

    plan: list[str]


def model(messages: list[AnyMessage], text: str) -> str:
    """Answers at once."""
    assert messages
    return text


def manager(state: Council) -> Command[str]:
    plan = json.loads(model(state["messages"], DECISION))["selected_agent_keys"]
    return Command(goto=plan[0], update={"plan": plan[1:]})


def agent(state: Council) -> Command[str]:
    plan = state["plan"]
    said = AIMessage(model(state["messages"], TEXT))
    return Command(goto=plan[0] if plan else END, update={"messages": [said], "plan": plan[1:]})


def main() -> None:
    url, durability = sys.argv[1:]
    graph = StateGraph(Council)
    graph.add_node("manager", manager, destinations=KEYS)
    for key in KEYS:
        graph.add_node(key, agent, destinations=(*KEYS, END))
    graph.add_edge(START, "manager")
    # These options are from the checkpointer's documentation.
    with Connection.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row) as connection:
        saver = PostgresSaver(connection)
        saver.setup()
        connection.execute(LEDGER)
        council = graph.compile(checkpointer=saver)

        def take_turn(session_id: str) -> str:
            session = {"configurable": {"thread_id": session_id}}
            state = council.invoke({"messages": [HumanMessage(MESSAGE)]}, session, durability=durability)
            connection.execute(POST, (ledger_rows(session_id),))
            return str(state["messages"][-1].content)

        serve(take_turn)


if __name__ == "__main__":
    main()
