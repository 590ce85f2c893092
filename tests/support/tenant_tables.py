"""The tables under row-level security, and two tenants with rows in each."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Table, select

from shared.db.compiler import compiled
from shared.db.engine import Row, Statement
from shared.db.schema.columns import TOKENS
from shared.db.schema.tables import metadata
from tests.support.council_room import CouncilRoom, answer

# Tables without a tenant, which the application's role cannot use.
OPERATIONS = {"invocation_log_hours"}


# Tables that the operator reads. It also changes the limits in some of them.
OPERATOR = {
    *("budgets", "budget_holds", "budget_limits", "usage_ledger"),
    *("usage_hours", "usage_days", "usage_rolled_up"),
    *("turns", "llm_calls"),
}


TENANT_TABLES = {name: table for name, table in metadata.tables.items() if name not in OPERATIONS}


TABLES = sorted(TENANT_TABLES)


TENANTS = ("tenant-1", "tenant-2")


# Every tenant reads these: the progress of rolling up, the platform's spending, and versions of tables.
SHARED = {"platform_months", "usage_progress", "usage_rolled_up", "checkpoint_migrations"}


ALLOWED = {
    "agents": {"UPDATE"},
    # The time of its revocation, by a grant of that column.
    "api_keys": set(),
    # It deletes versions that no turn has pinned, and sets the pin, by a grant of that column.
    "agent_versions": {"DELETE"},
    # All columns but the key, by grants.
    "councils": set(),
    # The session of the name, by a grant of that column.
    "conversations": {"DELETE"},
    "sessions": {"UPDATE", "DELETE"},
    "turns": {"UPDATE"},
    "llm_calls": {"UPDATE"},
    "usage_ledger": set(),
    # The held and spent amounts, by grants of these columns.
    "budgets": set(),
    "budget_holds": {"DELETE"},
    "budget_settlements": {"DELETE"},
    # Its own limit, by a grant of that column.
    "budget_limits": set(),
    "replies": {"UPDATE"},
    "summaries": {"DELETE"},
    "audit_events": set(),
    # Its one column, so that the row can be locked.
    "tenants": set(),
    # The end of a wait, by a grant of that column.
    "waits": set(),
    "usage_hourly": set(),
    "usage_daily": set(),
    "usage_progress": set(),
    "usage_hours": set(),
    "usage_days": set(),
    "usage_rolled_up": set(),
    "platform_months": set(),
    # A session keeps one checkpoint.
    **{name: {"DELETE"} for name in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")},
    "checkpoint_migrations": set(),
}


# A thread's id is the tenant and a session.
THREADS = {
    "checkpoints": "SELECT tenant_id || ':' || id, '', '1', NULL, NULL, '{}', '{}' FROM sessions",
    "checkpoint_blobs": "SELECT tenant_id || ':' || id, '', 'messages', '1', 'msgpack', '' FROM sessions",
    "checkpoint_writes": "SELECT tenant_id || ':' || id, '', '1', '1', 0, 'messages', NULL, '' FROM sessions",
}


@pytest.fixture
def tenants(room: CouncilRoom) -> Iterator[CouncilRoom]:
    """Two tenants with rows in every table."""
    other = CouncilRoom(room.owner, room.app_url, tenant_id=TENANTS[1])
    with other.databases:
        for each in (room, other):
            each.limit(100)
            each.provider.enqueue(answer(""))
            each.take("@writer hello")
            each.owner.execute(
                """INSERT INTO summaries SELECT gen_random_uuid(), tenant_id, session_id, id, 1, '', '[]', '[]', '[]',
                '[]', '[]', '[]', now() FROM turns WHERE tenant_id = %s""",
                (each.tenant_id,),
            )
        settlements = "budget_settlements (payer, period, held_usd, spent_usd)"
        months = "SELECT payer, period, 0, 0 FROM budgets WHERE payer LIKE 'tenant:%'"
        room.owner.execute(f"INSERT INTO {settlements} {months}".encode())
        room.owner.execute(
            """INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by)
            SELECT gen_random_uuid(), tenant_id, 'CI', 'admin', 'pan_abcdefgh', sha256(tenant_id::bytea), 'user-1'
            FROM sessions"""
        )
        room.owner.execute(
            """INSERT INTO budget_holds SELECT gen_random_uuid(), tenant_id, 'suspense', 'tenant:' || tenant_id,
            date_trunc('month', timezone('UTC', now())), 0 FROM sessions"""
        )
        room.owner.execute(
            """INSERT INTO councils (tenant_id, key, name, mode, agent_keys, fan_out, version)
            SELECT tenant_id, 'panel', 'Panel', 'council', agent_keys, fan_out, 1 FROM sessions"""
        )
        room.owner.execute("INSERT INTO conversations SELECT tenant_id, user_id, 'Chat', id FROM sessions")
        room.owner.execute("INSERT INTO waits SELECT tenant_id, 1, now() FROM sessions")
        for name, rows in THREADS.items():
            room.owner.execute(f"INSERT INTO {name} {rows}".encode())
        for spans in ("usage_hourly", "usage_daily", "usage_hours", "usage_days"):
            room.owner.execute(f"INSERT INTO {spans} {_sums_of(spans)} FROM sessions".encode())
        for progress in ("usage_progress", "usage_rolled_up"):
            room.owner.execute(f"INSERT INTO {progress} VALUES (true, '2026-01-01T00:00:00Z')".encode())
        room.owner.execute("INSERT INTO platform_months VALUES ('2026-01-01', 1)")
        yield room


def _sums_of(spans: str) -> str:
    """Return the columns of a table of sums, and the query of a sum for each session."""
    more = {"provider": "'openai'"} if spans in ("usage_hours", "usage_days") else {}
    values = {
        **{"tenant_id": "tenant_id", "start": "timestamptz '2026-01-01'", "agent_key": "NULL", "model_alias": "'fast'"},
        **{"purpose": "'agent'", "account": "'tenant'", "kind": "'post'", "reason": "'reply'", "user_id": "'user-1'"},
        **dict.fromkeys(("calls", *TOKENS, "amount_usd"), "1"),
        **more,
    }
    return f"({', '.join(values)}) SELECT {', '.join(values.values())}"


@pytest.fixture
def as_tenant(app_url: str) -> Iterator[psycopg.Connection[Row]]:
    """A connection of the application's role, in a transaction of the first tenant."""
    with psycopg.connect(app_url, row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (TENANTS[0],))
        yield connection
        connection.rollback()


def owners(table: Table, rows: list[Row]) -> set[str]:
    """Return the owners of these rows."""
    if rows and "payer" in rows[0] and "tenant_id" not in rows[0]:
        return {row["payer"].removeprefix("tenant:").removeprefix("platform:") for row in rows}
    if table.name in SHARED:
        return {"platform"}
    if "thread_id" in table.columns:
        return {row["thread_id"][:-37] for row in rows}
    return {row["tenant_id"] for row in rows}


# The columns of a table that the application may not read.
HIDDEN = {"api_keys": {"key_hash"}}


def read(table: Table) -> Statement:
    """Read every column that the application may read of a table."""
    return compiled(select(*(column for column in table.columns if column.name not in HIDDEN.get(table.name, ()))))


def as_json(row: Row) -> str:
    """Return the row for jsonb_populate_record."""
    return json.dumps(row, default=lambda value: f"\\x{value.hex()}" if isinstance(value, bytes) else str(value))


def stored(table: Table, row: Row) -> Row:
    """Return a row without the columns that Postgres derives from the others."""
    return {name: value for name, value in row.items() if table.columns[name].computed is None}


def everything(room: CouncilRoom, name: str) -> list[Row]:
    return room.rows(f"SELECT * FROM {name}")
