"""Tests that none of five hundred tenants on one connection sees or changes another's data.

Their turns run through the real handlers, at every operation of the API's own document. An answer must have no row, id
or word of another tenant.
"""

import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Table, func, select

from local.gateway.routes import find
from local.gateway.worker import LambdaContext
from shared.db.compiler import compiled
from shared.db.engine import Row, database
from shared.db.schema.tables import PLATFORM
from shared.llm.providers import provider
from shared.names import API_PREFIX
from tests.support.council_room import broken_invariants
from tests.support.gateway import request
from tests.support.stack.operations import OPERATIONS, Operation
from tests.support.tenant_tables import SHARED, TENANT_TABLES, THREADS, owners

TENANTS: Final = 500
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MARK: Final = re.compile(r"mark-\d+")
# An ended turn cannot be cancelled, and an existing agent cannot be made.
_REFUSALS: Final = {"POST turns/{turn_id}/cancel": 409}
# With a neighbour's key, these make an agent or a council of the caller's own.
_MAKES: Final = ("PUT agents/{key}", "PUT councils/{council_key}")
# Operators see every tenant.
_OPERATORS: Final = "admin/"


@dataclass
class Someone:
    """A tenant whose every word contains its mark."""

    number: int
    places: dict[str, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    @property
    def mark(self) -> str:
        return f"mark-{self.number}"

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Return the status and the body of the answer to this tenant."""
        path = f"{API_PREFIX}/{path}"
        event = request(method, path, body)
        event["requestContext"]["authorizer"] |= {"user": f"user of {self.mark}", "tenant": self.mark}
        event["requestContext"]["requestId"] = "request"
        found = find(method, path)
        assert found is not None
        function = found[0].function
        handler = import_module(f"functions.{function}.handler").handler
        answer = handler(event, LambdaContext(function, "invocation", time.monotonic() + 60))
        return answer["statusCode"], answer["body"] or ""

    def body(self, operation: Operation) -> dict[str, Any]:
        """Return a good body, in this tenant's words."""
        words = {name: f"{name} of {self.mark}" for name in ("title", "message", "name", "role_prompt")}
        return {name: words.get(name, value) for name, value in operation.body().items()}

    def make(self, path: str, body: object) -> Any:
        status, text = self.ask("POST", path, body)
        assert status == 201, text
        return json.loads(text)

    def settle(self) -> None:
        """Make an agent, a council, a session, and a turn in it."""
        agent = {"key": f"a-{self.mark}", "name": f"Name {self.mark}", "role_prompt": self.mark, "model_alias": "fast"}
        self.make("agents", agent)
        self.make("agents", agent | {"key": "writer"})
        council = {"key": f"c-{self.mark}", "name": f"Name {self.mark}", "mode": "council", "agent_keys": ["writer"]}
        self.make("councils", council)
        session = {"title": self.mark, "agent_keys": ["writer", agent["key"]]}
        session_id = self.make("sessions", session)["id"]
        turn = self.make(f"sessions/{session_id}/turns", {"message": f"I am {self.mark}"})
        key_id = self.make("api-keys", {"name": self.mark})["id"]
        self.places = {"key": agent["key"], "council_key": f"c-{self.mark}", "key_id": key_id}
        self.places |= {"session_id": session_id, "turn_id": turn["id"]}


class Town:
    """All tenants, and the owner of every id."""

    def __init__(self, owner: psycopg.Connection[Row]) -> None:
        self.owner = owner
        self.everybody = [Someone(number) for number in range(TENANTS)]
        self.random = random.Random(0)
        for someone in self.in_any_order():
            someone.settle()
        self.owners = self._owners()

    def in_any_order(self) -> list[Someone]:
        return self.random.sample(self.everybody, len(self.everybody))

    def foreign(self, someone: Someone, text: str) -> set[str]:
        """Return the marks and ids of other tenants in the text."""
        ids = {found for found in _UUID.findall(text) if self.owners.get(found, someone.mark) != someone.mark}
        return ids | (set(_MARK.findall(text)) - {someone.mark})

    def _owners(self) -> dict[str, str]:
        tables = {"sessions": "id", "turns": "id", "llm_calls": "call_id", "api_keys": "id"}
        union = " UNION ALL ".join(f"SELECT {key}::text AS id, tenant_id FROM {name}" for name, key in tables.items())
        return {row["id"]: row["tenant_id"] for row in self.owner.execute(union.encode())}


@pytest.fixture
def town(owner: psycopg.Connection[Row], scripted_settings: None) -> Iterator[Town]:
    """Every tenant has an agent, a session and a turn."""
    for cache in (database, provider):
        cache.cache_clear()
    yield Town(owner)
    assert broken_invariants(owner) == {}
    database().close()
    for cache in (database, provider):
        cache.cache_clear()


def operations() -> list[Operation]:
    """Every operation of tenants; those that delete are last, a session's before its agents'."""
    mine = [operation for operation in OPERATIONS if not operation.path.startswith(_OPERATORS) and operation.secured]
    return sorted(mine, key=lambda operation: (operation.method == "DELETE", operation.path == "agents/{key}"))


def test_answers_have_nothing_of_another_tenant(town: Town) -> None:
    one, other = town.everybody[:2]
    _, text = one.ask("GET", "sessions")
    # The check itself works: the answer to one tenant is foreign to every other one.
    assert (town.foreign(one, text), len(town.foreign(other, text))) == (set(), 2)
    connection = backend()
    leaks: dict[str, set[str]] = {str(operation): set() for operation in operations()}
    wrong: dict[str, str] = trespass(town, leaks)
    for operation in operations():
        for someone in town.in_any_order():
            body = someone.body(operation) if operation.fields is not None else None
            status, text = someone.ask(operation.method, operation.path.format_map(someone.places), body)
            if not (200 <= status < 300 or status == _REFUSALS.get(str(operation))):
                wrong[str(operation)] = f"{status} {text}"
            leaks[str(operation)] |= town.foreign(someone, text)
    assert wrong == {}
    assert {name: found for name, found in leaks.items() if found} == {}
    assert backend() == connection


def trespass(town: Town, leaks: dict[str, set[str]]) -> dict[str, str]:
    """Let each tenant try every operation on a neighbour's objects, and use a neighbour's agent in its own.

    Returns the answers that differ from those for objects that do not exist.
    """
    before, wrong = everything(town), dict[str, str]()
    everybody = town.in_any_order()
    for operation in operations():
        for someone, neighbour in zip(everybody, [*everybody[1:], everybody[0]], strict=True):
            body = someone.body(operation) if operation.fields is not None else None
            about = operation.path_parameters and str(operation) not in _MAKES
            tries = [(operation.path.format_map(neighbour.places), body, 404)] if about else []
            if body and "agent_keys" in body:
                foreign = body | {"agent_keys": [neighbour.places["key"]]}
                # The agent would be refused, because it does not belong to the session.
                foreign.pop("chair_key", None)
                tries.append((operation.path.format_map(someone.places), foreign, 422))
            for path, sent, expected in tries:
                status, text = someone.ask(operation.method, path, sent)
                if status != expected:
                    wrong[f"{operation} of another"] = f"{status} {text}"
                # An answer may repeat the request.
                leaks[str(operation)] |= town.foreign(someone, text) - set(_MARK.findall(f"{path} {sent}"))
    assert everything(town) == before
    return wrong


def everything(town: Town) -> dict[str, Any]:
    """Return all stored rows, as a hash of each table."""
    hashed = "SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) AS all FROM {} t"
    return {name: town.owner.execute(hashed.format(name).encode()).fetchall() for name in TENANT_TABLES}


def backend() -> list[Row]:
    """Return the server's process at the other end of this process's connection."""
    return database().read(None, compiled(select(func.pg_backend_pid())), {})


def foreign_rows(town: Town, table: Table, everybody: list[Someone]) -> int:
    """Return how many times a tenant on this connection sees rows of another one in a table."""
    # No role of a tenant may read the hash of a key.
    statement = compiled(select(*(column for column in table.c if column.name != "key_hash")))
    shown = [(someone, database().read(someone.mark, statement, {})) for someone in everybody]
    assert all(rows for _, rows in shown)
    return sum(bool(owners(table, rows) - {someone.mark, PLATFORM}) for someone, rows in shown)


def test_tables_show_rows_of_another_tenant_only_without_their_policy(town: Town) -> None:
    """The second half proves the first: without its row-level security, the test finds each table."""
    for name, table in TENANT_TABLES.items():
        if name in SHARED:
            continue
        _fill(town, name)
        assert foreign_rows(town, table, town.in_any_order()) == 0, name
        town.owner.execute(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY".encode())
        try:
            assert foreign_rows(town, table, town.in_any_order()[:3]) == 3, name
        finally:
            town.owner.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY".encode())


# A first turn may leave these tables empty, so each tenant gets a row. Sums are later than the rolled-up hours.
_SPANS: Final = "tenant_id, created_at, agent_key, model_alias, purpose, account, kind"
_SUMS: Final = "1, 1, 1, 1, 1, 1, 1"
_FILLED: Final = {
    "budget_limits": "SELECT DISTINCT 'tenant:' || tenant_id, 1 FROM sessions",
    "budget_settlements": "(payer, period, held_usd, spent_usd) SELECT payer, period, 0, 0 FROM budgets",
    "budget_holds": """SELECT gen_random_uuid(), tenant_id, 'suspense', 'tenant:' || tenant_id, current_date, 0
        FROM sessions""",
    "summaries": """SELECT gen_random_uuid(), tenant_id, session_id, id, 1, '', '[]', '[]', '[]', '[]', '[]', '[]',
        now() FROM turns""",
    "tenants": "SELECT DISTINCT tenant_id FROM sessions ON CONFLICT DO NOTHING",
    "waits": "SELECT DISTINCT tenant_id, 1, now() FROM sessions ON CONFLICT DO NOTHING",
    "councils": """SELECT DISTINCT ON (tenant_id) tenant_id, 'panel', 'Panel', 'council', agent_keys, fan_out, NULL, 1
        FROM sessions""",
    "conversations": "SELECT tenant_id, user_id, 'Chat', id FROM sessions ON CONFLICT DO NOTHING",
    **THREADS,
    **dict.fromkeys(
        ("usage_hourly", "usage_daily"), f"SELECT {_SPANS}, reason, user_id, api_key_id, {_SUMS} FROM usage_entries"
    ),
    **dict.fromkeys(
        ("usage_hours", "usage_days"),
        f"SELECT {_SPANS}, {_SUMS}, reason, user_id, api_key_id, provider FROM usage_entries",
    ),
}


def _fill(town: Town, name: str) -> None:
    if name in _FILLED:
        town.owner.execute(f"INSERT INTO {name} {_FILLED[name]}".encode())
