"""Runs a benchmark's Postgres with fsync on, its agents and sessions, and the handler of the turns function."""

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from uuid6 import uuid7

from bench.provider import BenchProvider
from local import postgres
from local.database import prepare
from shared.llm.port import Provider, Request
from shared.names import API_PREFIX, API_STAGE, Env

TENANT = "bench"
KEYS = ("ada", "ben", "cleo", "dan", "eve")
MESSAGE = "What should we do first, and why?"
OUTPUT_TOKENS = 96
_SESSION_TURNS = 30
# Page images follow checkpoints, and not turns.
SETTINGS = {"full_page_writes": "off", "max_connections": "200"}

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


class Context:
    """As much of Lambda's context as the handlers read."""

    aws_request_id = "bench"
    function_name = "turns"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


@dataclass(frozen=True, slots=True)
class Case:
    """A turn that both sides take. `summaries`: each turn ends with a summary."""

    name: str
    mode: Literal["manual", "tag", "roundtable", "orchestrator", "council"]
    keys: tuple[str, ...]
    fan_out: Literal["sequential", "parallel"] = "sequential"
    summaries: bool = False

    def body(self) -> dict[str, Any]:
        match self.mode:
            case "manual":
                return {"message": MESSAGE, "agent_keys": list(self.keys)}
            case "tag":
                return {"message": " ".join([*(f"@{key}" for key in self.keys), MESSAGE])}
        return {"message": MESSAGE}


@dataclass(frozen=True, slots=True)
class World:
    """One case's. URLs are the superuser's (`server_url`) and the application's; `context` is Lambda's."""

    case: Case
    server_url: str
    app_url: str
    provider: Provider
    context: Context = Context()  # noqa: RUF009 it has no state

    @classmethod
    @contextmanager
    def start(
        cls,
        case: Case,
        settings: Mapping[str, str] = SETTINGS,
        wait_s: float = 0.0,
        models: Callable[[], Provider] | None = None,
    ) -> Iterator[Self]:
        """Each call of the provider takes `wait_s` seconds. With `models`, it is theirs, with the catalog of this
        environment."""
        with (
            _restored_environment(),
            tempfile.TemporaryDirectory() as folder,
            postgres.start(Path(folder), settings=settings) as server,
        ):
            if models is None:
                os.environ[Env.LLM_PROVIDER] = "scripted"
            os.environ |= {
                Env.SUMMARY_AFTER_TURNS: "40",
                Env.SUMMARY_AFTER_TOKENS: "100" if case.summaries else "1000000",
            }
            provider = models() if models else BenchProvider(list(case.keys), wait_s)
            world = cls(case, server.url, prepare(server.url).app, provider)
            world._use(world.app_url)
            world._make_agents()
            yield world

    @property
    def port(self) -> int:
        return urlsplit(self.server_url).port or 0

    def through(self, port: int, url: str) -> str:
        """`url` by way of a proxy on `port`."""
        return url.replace(f":{self.port}/", f":{port}/")

    def handler(self, app_url: str) -> Handler:
        """The turns function's, with this world's provider and the database at `app_url`."""
        from functions.turns import handler as turns

        self._use(app_url)
        vars(turns)["provider"] = lambda: self.provider
        return turns.handler

    def template(self) -> Request:
        from shared.catalog import catalog

        return Request("", "", catalog()["fast"], (), OUTPUT_TOKENS)

    def make_session(self, tenant: str = TENANT) -> UUID:
        from shared.db.api.sessions import record_session
        from shared.db.engine import database

        fields = {"title": "", "mode": self.case.mode, "agent_keys": list(self.case.keys)}
        session_id = uuid7()
        record_session(database(), tenant, "bench", session_id, {**fields, "fan_out": self.case.fan_out})
        return session_id

    def event(self, session_id: UUID, tenant: str = TENANT) -> dict[str, Any]:
        """The API Gateway event by which a client posts this case's turn."""
        resource = f"{API_PREFIX}/sessions/{{session_id}}/turns"
        return _event(resource, f"{API_PREFIX}/sessions/{session_id}/turns", tenant, json.dumps(self.case.body()))

    def read_event(self, turn_id: str) -> dict[str, Any]:
        """The one by which it reads a turn."""
        return _event(f"{API_PREFIX}/{{proxy+}}", f"{API_PREFIX}/turns/{turn_id}", TENANT, None)

    def posts(self, tenant: str = TENANT) -> Iterator[dict[str, Any]]:
        """A turn after the other, in a new session before one is due for a summary."""
        while True:
            event = self.event(self.make_session(tenant), tenant)
            yield from (event for _ in range(_SESSION_TURNS))

    def make_tenants(self, tenants: Sequence[str]) -> None:
        """Tenants with the agents that the first one has."""
        columns = "tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens, temperature, enabled"
        with psycopg.connect(self.server_url, autocommit=True) as owner:
            for table, names in (("agents", "tenant_id, key, version"), ("agent_versions", columns)):
                copied = names.replace("tenant_id", "t", 1)
                copies = f"INSERT INTO {table} ({names}) SELECT {copied} FROM {table}, unnest(%s::text[]) t"
                owner.execute(f"{copies} WHERE tenant_id = %s".encode(), [list(tenants), TENANT])

    def before_fork(self) -> None:
        """Take a turn, so that nothing is left to be imported in each process, and close the connection: it would
        belong to all of them."""
        with redirect_stdout(io.StringIO()):
            self.handler(self.app_url)(next(self.posts()), self.context)
        _forget()

    def wal_bytes(self) -> int:
        """Return the bytes of WAL that the server has written so far."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
            assert row is not None
            return int(row[0])

    def _use(self, app_url: str) -> None:
        """Let this process's functions work on the database at `app_url`."""
        os.environ[Env.APP_DATABASE_URL] = app_url
        _forget()

    def _make_agents(self, tenant: str = TENANT) -> None:
        from shared.db.api.agents import record_agent
        from shared.db.engine import database

        body = {"role_prompt": "Answer.", "model_alias": "fast", "max_output_tokens": OUTPUT_TOKENS}
        for key in KEYS:
            agent = {"name": key.title(), "enabled": True, "temperature": None, **body}
            record_agent(database(), tenant, key, agent)


def _event(resource: str, path: str, tenant: str, body: str | None) -> dict[str, Any]:
    method = "GET" if body is None else "POST"
    caller = {"user": "bench", "tenant": tenant, "roles": '["member"]', "key_id": "", "email": ""}
    headers = {"Content-Type": "application/json", "Host": "localhost"}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "requestId": "bench",
            "stage": API_STAGE,
            "path": f"/{API_STAGE}{path}",
            "authorizer": caller,
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": body,
        "isBase64Encoded": False,
    }


@contextmanager
def _restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget()


def _forget() -> None:
    """Forget the values that were read from the environment."""
    from shared.catalog import catalog
    from shared.db.engine import database
    from shared.settings import budget_settings, http_settings, settings

    if database.cache_info().currsize:
        database().close()
    for known in (settings, budget_settings, http_settings, catalog, database):
        known.cache_clear()
