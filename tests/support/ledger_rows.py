"""Makes ledger rows of any tenant, time and amount, and computes their totals."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg

from shared.db.engine import Row
from shared.db.schema.columns import COUNTS, TOKENS

RATES = dict.fromkeys(("input", "output", "cache_read", "cache_write", "reasoning"), "0.1")
SESSIONS = (UUID(int=1), UUID(int=2**127))
# Users, and the API keys with which they posted.
POSTERS = (("user-1", None), ("user-1", UUID(int=3)), ("user-2", None), ("user-2", UUID(int=2**127 + 3)))
AGENTS = (("writer", "agent"), ("critic", "agent"), (None, "routing"), (None, "summary_text"))
REASONS = ("reply", "review", "helper", "failed_attempt", "unknown_outcome")
PROVIDERS = ("scripted", "openai")
KINDS = tuple(product(("fast", "deep"), ("tenant", "platform", "suspense"), ("post", "adjustment")))
_COLUMNS = ("tenant_id", "session_id", "turn_id", "call_id", "step", "attempt", "kind", "account", "period", "purpose")
# The release before leaves these NULL.
_ADDED = ("reason", "user_id", "api_key_id", "provider")
_ALL = (*_COLUMNS, "agent_key", "model_alias", *COUNTS, "amount_usd", "rates", "created_at", *_ADDED)


@dataclass(frozen=True)
class Sums:
    """As `shared.db.usage.totals.load_totals` has them."""

    calls: int
    tokens: tuple[int, ...]
    cost_usd: Decimal
    platform_cost_usd: Decimal
    suspense_usd: Decimal

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Sums":
        tokens = tuple(int(row[name]) for name in TOKENS)
        return cls(int(row["calls"]), tokens, row["cost_usd"], row["platform_cost_usd"], row["suspense_usd"])


def entry(at: datetime, tenant_id: str = "tenant-1", **changes: object) -> Row:
    """Return one row: a call of the writer that cost the tenant 0.1 USD, with `changes`."""
    row: Row = {
        **{"tenant_id": tenant_id, "session_id": SESSIONS[0], "turn_id": uuid4(), "call_id": uuid4(), "step": 0},
        **{"attempt": 1, "kind": "post", "account": "tenant", "period": at.date().replace(day=1), "purpose": "agent"},
        **{"agent_key": "writer", "model_alias": "fast", **dict.fromkeys(COUNTS, 1), "amount_usd": Decimal("0.1")},
        **{"rates": json.dumps(RATES), "created_at": at, "user_id": "user-1", "api_key_id": None},
        **{"reason": "reply", "provider": "scripted"},
    }
    return row | changes


def entries(
    seed: int, number: int, start: datetime, end: datetime, tenants: Sequence[str] = ("tenant-1",)
) -> list[Row]:
    """Return `number` rows at random times of the period, some at the start of an hour."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for _ in range(number):
        at = start + (end - start) * chance.random()
        if chance.random() < 0.2:
            at = at.replace(minute=0, second=0, microsecond=0)
        agent_key, purpose = chance.choice(AGENTS)
        model_alias, account, kind = chance.choice(KINDS)
        odd = Decimal(chance.randrange(-(10**18), 10**18)).scaleb(-chance.randrange(3, 17))
        row = entry(at, chance.choice(tenants), session_id=chance.choice(SESSIONS), agent_key=agent_key)
        row |= {"purpose": purpose, "model_alias": model_alias, "account": account, "kind": kind, "amount_usd": odd}
        row |= dict(zip(("user_id", "api_key_id"), POSTERS[len(rows) % len(POSTERS)], strict=True))
        row["reason"] = REASONS[len(rows) % len(REASONS)]
        row["provider"] = PROVIDERS[len(rows) % len(PROVIDERS)]
        rows.append(row | {name: chance.randrange(10_000) for name in TOKENS})
    return rows


def insert(owner: psycopg.Connection[Row], rows: Iterable[Row]) -> None:
    """As a superuser, whom no foreign key stops: there are no such calls."""
    placeholders = ", ".join(f"%({name})s" for name in _ALL)
    query = f"INSERT INTO usage_ledger ({', '.join(_ALL)}) VALUES ({placeholders})".encode()
    with owner.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.executemany(query, list(rows))


def insert_as_before(owner: psycopg.Connection[Row], rows: Iterable[Row]) -> list[Row]:
    """As earlier releases did, without reason, user, key and provider; the turns, which say who posted; and the calls,
    which say to whom they went. Returns the rows as readers see them."""
    seen = [row | {"reason": _reason(row)} for row in rows]
    insert_turns(owner, seen)
    insert_calls(owner, seen)
    insert(owner, [row | dict.fromkeys(_ADDED) for row in seen])
    return seen


def _reason(row: Row) -> str:
    if row["kind"] == "adjustment" or row["account"] == "suspense":
        return "unknown_outcome"
    if row["purpose"] != "agent":
        return "helper"
    return "reply" if row["account"] == "tenant" else "failed_attempt"


def insert_turns(owner: psycopg.Connection[Row], rows: Iterable[Row]) -> None:
    """The turns of these rows, in sessions that there are not."""
    query = b"""INSERT INTO turns (id, tenant_id, session_id, user_id, api_key_id, turn_index, status, fingerprint,
            message, mode, fan_out, roster, lease_epoch)
        VALUES (%(turn_id)s, %(tenant_id)s, gen_random_uuid(), %(user_id)s, %(api_key_id)s, 1, 'completed', '', '',
            'tag', 'sequential', '[]', 1)"""
    with owner.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.executemany(query, list(rows))


def insert_calls(owner: psycopg.Connection[Row], rows: Iterable[Row]) -> None:
    """The calls of these rows, in turns that there are not."""
    query = b"""INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, model_alias,
            provider, model_id, request_hash, payer, period, reserve_usd, rates, status)
        VALUES (%(call_id)s, %(tenant_id)s, %(session_id)s, %(turn_id)s, %(step)s, %(attempt)s, %(purpose)s,
            %(model_alias)s, %(provider)s, '', '', 'platform', %(period)s, 0, '{}', 'succeeded')"""
    with owner.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.executemany(query, list(rows))


def sums(rows: Iterable[Row], groups: Sequence[str]) -> dict[tuple[Any, ...], Sums]:
    """Return the sums of `rows`, by group."""
    grouped = defaultdict(list)
    for row in rows:
        day = row["created_at"].astimezone(UTC).date()
        grouped[tuple(day if name == "day" else row[name] for name in groups)].append(row)
    return {key: _sums(members) for key, members in grouped.items()}


def _sums(rows: list[Row]) -> Sums:
    def usd(account: str) -> Decimal:
        # Postgres keeps every digit; Python keeps 28 where it is not told otherwise.
        with localcontext(prec=100):
            return sum((row["amount_usd"] for row in rows if row["account"] == account), Decimal(0))

    calls = sum(row["kind"] == "post" for row in rows)
    tokens = tuple(sum(row[name] for row in rows) for name in TOKENS)
    return Sums(calls, tokens, usd("tenant"), usd("platform"), usd("suspense"))


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)
