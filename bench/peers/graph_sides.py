"""One side of `bench.peers.graphs`: the example graph `panel`, run turn by turn as standard input says.

python -m bench.peers.graph_sides langgraph PROVIDER_URL DATABASE_URL DURABILITY
python -m bench.peers.graph_sides pantheon PROVIDER_URL DATABASE_URL

A line is JSON: the session, and the turn that goes on, if any. The answer is a line of JSON.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any
from uuid import UUID

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict

from shared.names import Env

MESSAGE = "What should we do first, and why?"
# A session's id and the turn that goes on. Returns the answer's text.
Take = Callable[[str, str | None], str]


class PlainModel(BaseChatModel):
    """A plain chat model, which asks the provider without a journal."""

    agent_key: str
    url: str
    client: httpx.Client

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        told = [SystemMessage(f"You are {self.agent_key.title()}, an agent."), *messages]
        body = [{"role": _role(message), "content": message.text} for message in told]
        answer = self.client.post(f"{self.url}/chat/completions", json={"model": "m", "messages": body})
        said = answer.raise_for_status().json()["choices"][0]["message"]["content"]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said, name=self.agent_key))])


def _role(message: BaseMessage) -> str:
    return {"system": "system", "ai": "assistant"}.get(message.type, "user")


def langgraph(url: str, database_url: str, durability: str) -> Take:
    """The graph on LangGraph alone, with its Postgres checkpointer."""
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import Connection
    from psycopg.rows import dict_row

    from functions.graphs import council_model

    client = httpx.Client(timeout=30.0, trust_env=False)
    vars(council_model)["chat_model"] = lambda key: PlainModel(agent_key=key, url=url, client=client)
    from functions.graphs.examples import panel

    connection = Connection.connect(database_url, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    saver = PostgresSaver(connection)
    saver.setup()
    graph = panel.graph.copy(update={"checkpointer": saver})

    def take(session_id: str, turn_id: str | None) -> str:
        thread: Any = {"configurable": {"thread_id": session_id}, "max_concurrency": 1}
        # Resume only from a checkpoint.
        goes_on = turn_id is not None and graph.get_state(thread).next
        state = graph.invoke(None if goes_on else {"messages": [HumanMessage(MESSAGE)]}, thread, durability=durability)
        return str(state["messages"][-1].text)

    return take


def pantheon(url: str, database_url: str) -> Take:
    """Post the turn to Pantheon's handlers, and let the function for graphs run it."""
    os.environ |= {
        Env.LLM_PROVIDER: "openai",
        Env.LLM_BASE_URL: url,
        Env.LLM_API_KEY: "none",
        Env.APP_DATABASE_URL: database_url,
        Env.GRAPHS: "panel=functions.graphs.examples.panel:graph",
    }
    from bench.world import TENANT, Context, _event
    from functions.graphs import handler as graphs
    from functions.turns import handler as turns
    from local.event_source import build_sqs_event
    from shared.db.engine import database
    from shared.db.turns import load_turn
    from shared.domain.actor import Actor
    from shared.domain.message import TurnMessage
    from shared.names import API_PREFIX

    path = f"{API_PREFIX}/sessions/{{session_id}}/turns"

    def take(session_id: str, turn_id: str | None) -> str:
        if turn_id is None:
            body = json.dumps({"message": MESSAGE})
            posted = turns.handler(_event(path, path.format(session_id=session_id), TENANT, body), Context())
            assert posted["statusCode"] == 202, posted
            turn_id = json.loads(posted["body"])["id"]
        event = build_sqs_event(TurnMessage(UUID(turn_id), TENANT, is_graph=True), receive_count=1)
        assert graphs.handler(dict(event), Context()) == {"batchItemFailures": []}
        stored = load_turn(database(), Actor.service(TENANT), UUID(turn_id))
        return str(json.loads(stored.body)["output"])

    return take


def main() -> None:
    sides: dict[str, Callable[..., Take]] = {"langgraph": langgraph, "pantheon": pantheon}
    take = sides[sys.argv[1]](*sys.argv[2:])
    out = sys.stdout
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        with redirect_stdout(io.StringIO()):
            started, busy = time.perf_counter(), time.process_time()
            answer = take(asked["session"], asked.get("turn"))
            took = (time.perf_counter() - started) * 1000, (time.process_time() - busy) * 1000
        print(json.dumps({"ms": took[0], "cpu_ms": took[1], "answer": answer}), file=out, flush=True)


if __name__ == "__main__":
    main()
