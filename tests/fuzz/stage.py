"""Prepares a tenant with three agents, a session, an ended turn and a waiting turn, and plays Lambda's side."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid6 import uuid7

from local import postgres
from local.database import prepare
from local.gateway.worker import LambdaContext
from shared.db.api.agents import record_agent
from shared.db.api.sessions import record_session
from shared.db.engine import database
from shared.domain.outcome import TurnOutcome
from shared.llm.providers import provider
from shared.names import Env
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn

KEYS = ("writer", "critic", "researcher")
_SECONDS = 300.0
# A crash of the machine may lose data: no input depends on it.
_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
_TENANTS = count(1)


Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


@cache
def handlers() -> Mapping[str, Handler]:
    """By function. They are imported here, and not by who only wants to know which targets there are."""
    from functions.admin.handler import handler as admin
    from functions.api.handler import handler as api
    from functions.sweeper.handler import handler as sweeper
    from functions.turns.handler import handler as turns
    from functions.worker.handler import handler as worker

    return {"admin": admin, "api": api, "sweeper": sweeper, "turns": turns, "worker": worker}


class Stage:
    """A tenant of its own. `session` and `turn` are ids; a turn that was posted for later is `waiting`."""

    def __init__(self) -> None:
        self.tenant = f"tenant-{os.getpid()}-{next(_TENANTS)}"
        body = {"role_prompt": "Answer.", "model_alias": "fast", "max_output_tokens": 50, "temperature": None}
        for key in KEYS:
            record_agent(database(), self.tenant, key, {"name": key.title(), "enabled": True, **body})
        self.session = self.make_session()
        self.turn = self._take(self.session).turn_id
        self.waiting = self.post_later()

    def make_session(self) -> UUID:
        session_id = uuid7()
        fields: dict[str, object] = {"title": "Talk", "mode": "tag", "agent_keys": list(KEYS), "fan_out": "sequential"}
        record_session(database(), self.tenant, "user-1", session_id, fields)
        return session_id

    def post_later(self) -> UUID:
        """A turn that waits, in a session of its own."""
        return self._take(self.make_session(), later=True).turn_id

    def _take(self, session_id: UUID, *, later: bool = False) -> TurnOutcome:
        posted = TurnRequest(
            tenant_id=self.tenant, user_id="user-1", session_id=session_id, message="@writer hello", later=later
        )
        return take_turn(Runner(database(), provider(), lambda: _SECONDS), posted)

    def named(self, text: str) -> str:
        """`text` with the ids that it asks for."""
        for name in ("tenant", "session", "turn", "waiting"):
            text = text.replace(f"{{{name}}}", str(getattr(self, name)))
        return text


def invoke(function: str, event: dict[str, Any]) -> dict[str, Any]:
    return handlers()[function](event, LambdaContext(function, "invocation-1", time.monotonic() + _SECONDS))


@contextmanager
def served(directory: Path) -> Iterator[dict[str, str]]:
    """Start a database under `directory`, and yield the environment of a function that reads events."""
    with postgres.start(directory, settings=_SETTINGS) as server:
        urls = prepare(server.url)
        yield {
            **os.environ,
            Env.APP_DATABASE_URL: urls.app,
            Env.OPS_DATABASE_URL: urls.ops,
            Env.OPERATOR_DATABASE_URL: urls.operator,
            Env.OPERATOR_ROLE: "operator",
            Env.LLM_PROVIDER: "scripted",
            Env.MAX_CALL_S: "1",
        }


@cache
def stage() -> Stage:
    """The one that is met. It is forgotten when something in it was changed."""
    return Stage()
