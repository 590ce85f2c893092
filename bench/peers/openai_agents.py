"""Run OpenAI's Agents SDK with sessions on SQLAlchemy: the manager, then each agent that it chooses.

python -m bench.peers.openai_agents URL
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.extensions.memory import SQLAlchemySession
from openai.types.responses import ResponseOutputMessage, ResponseOutputText
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.peers.turns import DECISION, KEYS, LEDGER, MESSAGE, POST, TEXT, USAGE, ledger_rows, serve


class Answers(Model):
    """A model that always gives the same answer at once."""

    def __init__(self, said: str) -> None:
        content = ResponseOutputText(annotations=[], text=said, type="output_text")
        self._message = ResponseOutputMessage(
            id="1", content=[content], role="assistant", status="completed", type="message"
        )

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        usage = Usage(requests=1, **USAGE, total_tokens=sum(USAGE.values()))
        return ModelResponse(output=[self._message], usage=usage, response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def main() -> None:
    set_tracing_disabled(True)
    engine = create_async_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg://", 1))
    manager = Agent(name="manager", model=Answers(DECISION))
    agents = {key: Agent(name=key, model=Answers(TEXT)) for key in KEYS}

    async def prepare() -> None:
        async with engine.begin() as connection:
            await connection.execute(text(LEDGER))
        await SQLAlchemySession("session-0", engine=engine, create_tables=True).get_items()

    async def take_turn(session_id: str) -> str:
        session = SQLAlchemySession(session_id, engine=engine)
        chosen = json.loads((await Runner.run(manager, MESSAGE, session=session)).final_output)
        said = ""
        for key in chosen["selected_agent_keys"]:
            said = (await Runner.run(agents[key], [], session=session)).final_output
        async with engine.begin() as connection:
            await connection.exec_driver_sql(POST, (ledger_rows(session_id),))
        return said

    with asyncio.Runner() as loop:
        loop.run(prepare())
        serve(lambda session_id: loop.run(take_turn(session_id)))


if __name__ == "__main__":
    main()
