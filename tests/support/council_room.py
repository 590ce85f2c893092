"""Holds a tenant with three agents and a session, and runs its turns in this process."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from uuid6 import uuid7

from local.database import role_url
from shared.db.api import agents, sessions
from shared.db.engine import LONG_ANSWER_S, Database, Row
from shared.db.operations.invariants import INVARIANTS
from shared.db.schema.tables import metadata
from shared.domain.actor import Actor
from shared.domain.money import Usage
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Listener
from shared.llm.port import CallError, Completion, Provider, Request
from shared.llm.scripted import ScriptedProvider
from shared.names import Role
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, resume_turn, take_turn
from tests.support.watched_database import WatchedDatabase

DEADLINE_S = 30.0
# Enough for every call, in seconds.
AMPLE_S = 600.0
# The scripted catalog's: a step of `deep` falls back to `fast`.
ALIASES = {"writer": "fast", "researcher": "deep", "critic": "fast"}
USAGE = Usage(input_tokens=1000, output_tokens=200, cache_read_tokens=50, cache_write_tokens=10, reasoning_tokens=7)
# USAGE at 0.10, 0.40, 0.01, 0.125 and 0.40 USD per million tokens, and at five times that.
FAST_COST, DEEP_COST = Decimal("0.00018455"), Decimal("0.00092275")


class Killed(BaseException):
    """Ends the process for its runner: the data in its memory is not written."""


@dataclass(frozen=True)
class DatabaseUrls:
    """A database's URL as the superuser who owns it, and as each of Pantheon's roles."""

    owner: str

    def of(self, role: Role) -> str:
        return role_url(self.owner, role)


@dataclass
class CouncilRoom:
    """`owner` sees and changes everything; the runners work as the application's role, each on its own connection."""

    owner: psycopg.Connection[Row]
    app_url: str
    tenant_id: str = "tenant-1"
    provider: ScriptedProvider = field(default_factory=ScriptedProvider)
    databases: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.db = self.open_database()
        for key in ALIASES:
            self.make_agent(key)
        self.session_id = self.make_session()

    @property
    def actor(self) -> Actor:
        """The member who made the room's session, and posts its turns."""
        return Actor(self.tenant_id, "user-1")

    @property
    def owner_url(self) -> str:
        """The address of `owner`. Its `info.dsn` has no password."""
        info = self.owner.info
        return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"

    def open_database(self, url: str | None = None, *, answer_s: float = LONG_ANSWER_S) -> WatchedDatabase:
        """Another connection, as the application's role or to `url`, which is given `answer_s` for each answer."""
        db = WatchedDatabase(url or self.app_url, answer_s=answer_s)
        self.databases.callback(db.close)
        return db

    def agent_body(self, key: str, **changes: object) -> dict[str, object]:
        body = {"name": key.title(), "role_prompt": f"You are the {key}.", "model_alias": ALIASES.get(key, "fast")}
        return {**body, "max_output_tokens": 100, "temperature": None, "enabled": True, **changes}

    def make_agent(self, key: str, **changes: object) -> None:
        agents.record_agent(self.db, self.tenant_id, key, self.agent_body(key, **changes))

    def change_agent(self, key: str, **changes: object) -> None:
        agents.record_agent_change(self.db, self.tenant_id, key, self.agent_body(key, **changes))

    def make_session(
        self, *, mode: str = "tag", agent_keys: Sequence[str] = tuple(ALIASES), fan_out: str = "sequential"
    ) -> UUID:
        session_id = uuid7()
        fields: dict[str, object] = {"title": "Talk", "mode": mode, "agent_keys": list(agent_keys), "fan_out": fan_out}
        sessions.record_session(self.db, self.tenant_id, "user-1", session_id, fields)
        return session_id

    def runner(
        self,
        *,
        db: Database | None = None,
        provider: Provider | None = None,
        seconds_left: Callable[[], float] = lambda: AMPLE_S,
    ) -> Runner:
        return Runner(db or self.db, provider or self.provider, seconds_left)

    def request(self, message: str = "@writer @researcher @critic hello", **fields: Any) -> TurnRequest:
        mine: dict[str, Any] = {"tenant_id": self.tenant_id, "user_id": "user-1", "session_id": self.session_id}
        return TurnRequest(message=message, **mine | fields)

    def take(
        self, *message: str, runner: Runner | None = None, listener: Listener | None = None, **fields: Any
    ) -> TurnOutcome:
        return take_turn(runner or self.runner(), self.request(*message, **fields), listener)

    def resume(self, turn_id: UUID, runner: Runner | None = None) -> TurnOutcome | None:
        return resume_turn(runner or self.runner(), self.tenant_id, turn_id)

    def take_until_killed(self, *message: str, **fields: Any) -> UUID:
        """Take a turn in a process that dies in it, and let its lease run out."""
        try:
            self.take(*message, **fields)
        except Killed:
            turn_id: UUID = self.row("SELECT id FROM turns ORDER BY id DESC LIMIT 1")["id"]
            self.expire_lease()
            return turn_id
        raise AssertionError("nobody was killed")

    def expire_lease(self) -> None:
        """Let the lease of whatever runs be over since a second."""
        self.owner.execute(
            "UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE status = 'running'"
        )

    def rows(self, query: str, *params: object) -> list[Row]:
        return self.owner.execute(query.encode(), params).fetchall()

    def row(self, query: str, *params: object) -> Row:
        (row,) = self.rows(query, *params)
        return row

    def calls(self, columns: str = "step, attempt, model_alias, status, verdict, error_code") -> list[tuple[Any, ...]]:
        """The journal's rows, in the order of their steps."""
        return [tuple(row.values()) for row in self.rows(f"SELECT {columns} FROM llm_calls ORDER BY step, attempt")]

    def accounts(self) -> dict[str, Decimal]:
        """Return the sum of the ledger for each account, in USD."""
        rows = self.rows("SELECT account, sum(amount_usd) AS usd FROM usage_ledger GROUP BY account")
        return {row["account"]: row["usd"] for row in rows}

    def budget(self, payer: str) -> Row | None:
        """This month of a payer: of `platform`, its share for this tenant."""
        payer = f"platform:{self.tenant_id}" if payer == "platform" else payer
        rows = self.rows("SELECT held_usd, spent_usd FROM budgets WHERE payer = %s", payer)
        return rows[0] if rows else None

    def limit(self, usd: object, payer: str = "") -> None:
        """Limit the payer, by default this tenant, to `usd` in a month; None removes the limit."""
        query = """INSERT INTO budget_limits (payer, limit_usd) VALUES (%s, %s)
            ON CONFLICT (payer) DO UPDATE SET limit_usd = excluded.limit_usd"""
        self.owner.execute(query, (payer or f"tenant:{self.tenant_id}", usd))

    def limit_to(self, amount: str) -> None:
        """Limit this tenant to an amount in terms of its month, such as `spent_usd * 2`."""
        query = f"SELECT sum({amount}) AS usd FROM budgets WHERE payer = %s"
        self.limit(self.row(query, f"tenant:{self.tenant_id}")["usd"])

    def cut_connections(self) -> None:
        """End every connection of the application's role, as a failover does."""
        self.rows(
            """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = %s""",
            Role.APP,
        )

    def wait_until_blocked(self, number: int = 1) -> None:
        """Wait until `number` connections wait for a lock that another one holds."""
        query = """SELECT count(*) AS blocked FROM pg_stat_activity
            WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""
        wait_for(lambda: self.row(query)["blocked"] >= number)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def broken_invariants(connection: psycopg.Connection[Row]) -> dict[str, list[Row]]:
    """The invariants that do not hold, each with the rows that break it."""
    found = {name: connection.execute(query.encode()).fetchall() for name, query in INVARIANTS.items()}
    return {name: rows for name, rows in found.items() if rows}


def words_left(room: CouncilRoom, word: str) -> dict[str, int]:
    """In which tables a word still is, and in how many rows."""
    query = "SELECT count(*) AS rows FROM {} AS listed WHERE strpos(listed::text, %s) > 0"
    found = {name: int(room.row(query.format(name), word)["rows"]) for name in metadata.tables}
    return {name: rows for name, rows in found.items() if rows}


def answer(text: str = "An answer.", usage: Usage = USAGE, stop_reason: str = "end_turn") -> Completion:
    return Completion("succeeded", text, stop_reason, usage, "provider-1")


def unbilled(error: CallError) -> Completion:
    return Completion("unbilled", error=error, retry_after_s=0.001)


def unknown(error: CallError = "timeout") -> Completion:
    return Completion("unknown", error=error)


def body(outcome: TurnOutcome | None) -> dict[str, Any]:
    assert outcome is not None
    read: dict[str, Any] = json.loads(outcome.body)
    return read


def prompt(request: Request) -> str:
    """All that a call was sent, as one text."""
    return "\n".join(f"{message.role}: {message.text}" for message in request.messages)


def names(replies: Sequence[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Agent, status and error code of each reply."""
    return [(reply["agent_key"], reply["status"], reply["error"] and reply["error"]["code"]) for reply in replies]
