"""No tenant sees or changes a row of another one, whatever the statement; a new table cannot be forgotten here."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Table, select
from uuid6 import uuid7

from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.schema.columns import TOKENS
from shared.db.schema.tables import metadata
from shared.names import Role
from tests.support.council_room import CouncilRoom, DatabaseUrls, answer
from tests.support.watched_database import transaction

# Tables without a tenant, which the application's role cannot use.
OPERATIONS = {"invocation_log_hours"}
# Tables that the operator reads. It also changes the limits in some of them.
OPERATOR = {
    *("budgets", "budget_holds", "budget_limits", "usage_ledger"),
    *("usage_hours", "usage_days", "usage_rolled_up"),
    *("turns", "llm_calls"),
}
# The roles with policies on a table, if they differ from the application and operations.
ROLES = {
    "invocation_log_hours": [Role.OPS],
    "api_keys": [Role.APP, Role.AUTH, Role.OPS],
    "councils": [Role.APP],
    "checkpoint_migrations": [Role.APP],
    **{name: [Role.APP, Role.OPERATOR, Role.OPS] for name in OPERATOR},
}
TENANT_TABLES = {name: table for name, table in metadata.tables.items() if name not in OPERATIONS}
TABLES = sorted(TENANT_TABLES)
TENANTS = ("tenant-1", "tenant-2")
# Every tenant reads these: the progress of rolling up, the platform's spending, and versions of tables.
SHARED = {"platform_months", "usage_progress", "usage_rolled_up", "checkpoint_migrations"}
# The application writes none of them.
DERIVED = {
    *("checkpoint_migrations", "checkpoint_writes"),
    *("usage_hourly", "usage_daily", "usage_progress", "platform_months"),
    *("usage_hours", "usage_days", "usage_rolled_up"),
}
# The most rights of the application on each table.
CHANGING = ("UPDATE", "DELETE", "TRUNCATE")
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


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_table_is_under_row_level_security_for_the_roles_that_use_it(
    owner: psycopg.Connection[Row], name: str
) -> None:
    query = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"
    assert owner.execute(query, (name,)).fetchall() == [{"relrowsecurity": True, "relforcerowsecurity": True}]
    # A restrictive policy alone shows no rows.
    policies = """SELECT roles::text, cmd FROM pg_policies
        WHERE tablename = %s AND permissive = 'PERMISSIVE' ORDER BY roles::text"""
    roles = ROLES.get(name, [Role.APP, Role.OPS])
    found = [tuple(row.values()) for row in owner.execute(policies, (name,))]
    commands = {Role.OPERATOR: "ALL" if name == "budget_limits" else "SELECT"}
    assert found == [(f"{{{role}}}", commands.get(role, "ALL")) for role in roles]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_application_has_no_rights_on_tables_without_a_tenant(owner: psycopg.Connection[Row], name: str) -> None:
    query = "SELECT has_table_privilege(%s, %s, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES') AS allowed"
    assert owner.execute(query, (Role.APP, name)).fetchall() == [{"allowed": False}]


def test_the_code_knows_every_table_of_the_database(owner: psycopg.Connection[Row]) -> None:
    found = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert {row["tablename"] for row in found} == {*metadata.tables, "alembic_version"}


def test_without_a_tenant_every_table_is_empty(tenants: CouncilRoom, db: Database) -> None:
    for name, table in TENANT_TABLES.items():
        assert owners(table, everything(tenants, name)) - {"platform"} == (set() if name in SHARED else set(TENANTS))
        assert db.run(None, read(table), {}) == []
        assert db.run("", read(table), {}) == []


def test_one_connection_that_serves_two_tenants_in_turn_shows_each_its_own(tenants: CouncilRoom, db: Database) -> None:
    for name, table in TENANT_TABLES.items():
        statement = read(table)
        for tenant_id in (*TENANTS, *TENANTS):
            shown = db.run(tenant_id, statement, {})
            own = [row for row in everything(tenants, name) if owners(table, [row]) <= {tenant_id, "platform"}]
            own = [{k: v for k, v in row.items() if k not in HIDDEN.get(name, ())} for row in own]
            assert sorted(map(_by_name, shown)) == sorted(map(_by_name, own))
            assert shown
            assert db.run(None, statement, {}) == []


def _by_name(row: Row) -> str:
    return str(sorted(row.items()))


def test_connection_keeps_no_tenant_after_a_failed_transaction(tenants: CouncilRoom, db: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.run(TENANTS[0], compiled(metadata.tables["usage_ledger"].delete()), {})
    assert db.run(None, compiled(select(metadata.tables["turns"])), {}) == []
    with pytest.raises(ZeroDivisionError), transaction(db, TENANTS[0]):
        raise ZeroDivisionError
    assert db.run(None, compiled(select(metadata.tables["turns"])), {}) == []


@pytest.mark.parametrize("name", [name for name in TABLES if name not in DERIVED])
def test_a_tenant_cannot_write_a_row_of_another(
    tenants: CouncilRoom, as_tenant: psycopg.Connection[Row], name: str
) -> None:
    table = metadata.tables[name]
    foreign = next(row for row in everything(tenants, name) if owners(table, [row]) == {TENANTS[1]})
    foreign = stored(table, foreign)
    may = "SELECT has_column_privilege(%s, %s, %s, 'INSERT') AS allowed"
    columns = ", ".join(c for c in foreign if tenants.row(may, Role.APP, name, c)["allowed"])
    row = f"SELECT {columns} FROM jsonb_populate_record(null::{name}, %s)"
    query = f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE {row}"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        as_tenant.execute(query.encode(), (as_json(foreign),))


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_tenant_cannot_write_derived_tables(as_tenant: psycopg.Connection[Row], name: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        as_tenant.execute(f"INSERT INTO {name} SELECT * FROM {name}".encode())


# A column that may be changed, of tables whose trigger checks the tenant before any policy.
KEPT = {"llm_calls": "posted_at", "replies": "text", "sessions": "title", "turns": "status"}


@pytest.mark.parametrize("name", [name for name, allowed in ALLOWED.items() if "UPDATE" in allowed])
def test_a_tenant_cannot_give_its_row_to_another_or_change_theirs(
    tenants: CouncilRoom, as_tenant: psycopg.Connection[Row], name: str
) -> None:
    kept = name in KEPT
    column = KEPT.get(name, "tenant_id")
    change = f"UPDATE {name} SET {column} = {column} WHERE tenant_id = %s"
    assert as_tenant.execute(change.encode(), (TENANTS[1],)).rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="trigger" if kept else "row-level security"):
        as_tenant.execute(f"UPDATE {name} SET tenant_id = %s".encode(), (TENANTS[1],))


@pytest.mark.parametrize("name", TABLES)
def test_application_has_only_the_listed_rights_on_each_table(owner: psycopg.Connection[Row], name: str) -> None:
    query = "SELECT has_table_privilege(%s, %s, %s) AS allowed"
    granted = {
        verb for verb in CHANGING if owner.execute(query, (Role.APP, name, verb)).fetchall() == [{"allowed": True}]
    }
    assert granted == ALLOWED[name]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budget_limits SET cap_usd = NULL",
        "UPDATE budget_limits SET cap_usd = 1000000 WHERE payer = 'tenant:tenant-1'",
        "INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-1', NULL) "
        "ON CONFLICT (payer) DO UPDATE SET cap_usd = NULL",
        "DELETE FROM budget_limits",
        "UPDATE budget_limits SET limit_usd = NULL WHERE payer = 'platform'",
        "INSERT INTO budget_limits (payer, limit_usd) VALUES ('platform', NULL) "
        "ON CONFLICT (payer) DO UPDATE SET limit_usd = NULL",
        "INSERT INTO budget_limits (payer, limit_usd) VALUES ('tenant:tenant-2', 0) "
        "ON CONFLICT (payer) DO UPDATE SET limit_usd = 0",
        "UPDATE budget_limits SET payer = 'tenant:tenant-2' WHERE payer = 'tenant:tenant-1'",
    ],
)
def test_application_sets_no_cap_and_no_limit_of_another_payer(
    tenants: CouncilRoom, as_tenant: psycopg.Connection[Row], statement: str
) -> None:
    tenants.limit(1, "platform")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_tenant.execute(statement.encode())


def test_a_turn_belongs_to_its_sessions_tenant(tenants: CouncilRoom, as_tenant: psycopg.Connection[Row]) -> None:
    """Row-level security hides another session from every query, but not from a foreign key."""
    theirs = tenants.row("SELECT id FROM sessions WHERE tenant_id = %s", TENANTS[1])["id"]
    own = tenants.row("SELECT * FROM turns WHERE tenant_id = %s", TENANTS[0])
    forged = {**own, "id": uuid7(), "session_id": theirs, "turn_index": 9, "idempotency_key": None}
    columns = ", ".join(stored(metadata.tables["turns"], own))
    query = f"INSERT INTO turns ({columns}) SELECT {columns} FROM jsonb_populate_record(null::turns, %s)"
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="turns_tenant_id_session_id_fkey"):
        as_tenant.execute(query.encode(), (json.dumps(forged, default=str),))


# A reference of a tenant's own row to another tenant, and the constraint that refuses it.
FOREIGN = [
    ("llm_calls", "turn_id", psycopg.errors.ForeignKeyViolation, "llm_calls_turn_id_tenant_id_fkey"),
    ("llm_calls", "payer", psycopg.errors.CheckViolation, "llm_calls_payer_check"),
    ("budget_holds", "payer", psycopg.errors.CheckViolation, "budget_holds_payer_check"),
    ("replies", "turn_id", psycopg.errors.ForeignKeyViolation, "replies_turn_id_tenant_id_fkey"),
    ("summaries", "turn_id", psycopg.errors.ForeignKeyViolation, "summaries_turn_id_tenant_id_fkey"),
    ("summaries", "session_id", psycopg.errors.ForeignKeyViolation, "summaries_tenant_id_session_id_fkey"),
    ("audit_events", "turn_id", psycopg.errors.ForeignKeyViolation, "audit_events_turn_id_tenant_id_fkey"),
    ("usage_ledger", "call_id", psycopg.errors.InsufficientPrivilege, "row-level security"),
    ("usage_ledger", "turn_id", psycopg.errors.InsufficientPrivilege, "row-level security"),
]


# The call of the reply, which its tenant paid for.
NEWEST = "ORDER BY ctid DESC LIMIT 1"


@pytest.mark.parametrize(("name", "column", "error", "guard"), FOREIGN)
def test_a_tenants_row_names_no_turn_call_or_payer_of_another(
    tenants: CouncilRoom,
    as_tenant: psycopg.Connection[Row],
    name: str,
    column: str,
    error: type[psycopg.Error],
    guard: str,
) -> None:
    """New and changed rows are refused. A row that names the tenant's own turn, call or payer is accepted."""
    own, theirs = (tenants.row(f"SELECT * FROM {name} WHERE tenant_id = %s {NEWEST}", tenant) for tenant in TENANTS)
    # The row has other unique values, so that only the guard can refuse it.
    changes: dict[str, dict[str, object]] = {
        "llm_calls": {"call_id": uuid7(), "step": 9},
        "budget_holds": {"id": uuid7()},
        "replies": {"position": 9},
        "summaries": {"id": uuid7(), "through_turn_index": 9},
        "audit_events": {},
        "usage_ledger": {"kind": "adjustment"},
    }
    new = changes[name]
    # The database sets an entry's number and time.
    unsaid = {"audit_events": ("id",), "usage_ledger": ("id", "created_at")}.get(name, ())
    columns = ", ".join(c for c in stored(metadata.tables[name], own) if c not in unsaid)
    insert = f"INSERT INTO {name} ({columns}) SELECT {columns} FROM jsonb_populate_record(null::{name}, %s)"
    with pytest.raises(error, match=guard), as_tenant.transaction():
        as_tenant.execute(insert.encode(), (json.dumps({**own, **new, column: theirs[column]}, default=str),))
    assert as_tenant.execute(insert.encode(), (json.dumps({**own, **new}, default=str),)).rowcount == 1
    if "UPDATE" in ALLOWED[name]:
        (key,) = new.keys() & {"step", "position"}
        if column == "turn_id":
            error, guard = psycopg.errors.InsufficientPrivilege, "_keep_wh(o|at)_"
        with pytest.raises(error, match=guard), as_tenant.transaction():
            as_tenant.execute(f"UPDATE {name} SET {column} = %s WHERE {key} = 9".encode(), (theirs[column],))


@pytest.mark.parametrize("statement", ["UPDATE usage_ledger SET amount_usd = 0", "DELETE FROM usage_ledger"])
@pytest.mark.parametrize("role", list(Role))
def test_ledger_rows_cannot_be_changed_or_deleted(
    database_urls: DatabaseUrls, tenants: CouncilRoom, role: Role, statement: str
) -> None:
    with psycopg.connect(database_urls.of(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (TENANTS[0],))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_month_view_sums_only_the_rows_its_reader_may_see(
    tenants: CouncilRoom, as_tenant: psycopg.Connection[Row], database_urls: DatabaseUrls
) -> None:
    """The view has no policy of its own."""
    payers = "SELECT payer FROM payer_months ORDER BY payer"
    mine = [row["payer"] for row in as_tenant.execute(payers).fetchall()]
    assert mine == [f"platform:{TENANTS[0]}", f"tenant:{TENANTS[0]}"]
    with psycopg.connect(database_urls.of(Role.APP)) as connection:
        assert connection.execute(payers).fetchall() == []


def test_ledger_view_shows_only_the_rows_its_reader_may_see(
    tenants: CouncilRoom, as_tenant: psycopg.Connection[Row], database_urls: DatabaseUrls
) -> None:
    entries = "SELECT DISTINCT tenant_id FROM usage_entries ORDER BY tenant_id"
    assert as_tenant.execute(entries).fetchall() == [{"tenant_id": TENANTS[0]}]
    with psycopg.connect(database_urls.of(Role.OPS)) as connection:
        assert len(connection.execute(entries).fetchall()) == len(TENANTS)
    with psycopg.connect(database_urls.of(Role.APP)) as connection:
        assert connection.execute(entries).fetchall() == []


# A column of the tables that operations see in part, and None for those that they cannot see.
OPERATIONS_SEE = {
    **dict.fromkeys(("agents", "agent_versions", "audit_events", "tenants", "waits", "summaries", "replies")),
    **dict.fromkeys(("budget_settlements", "councils", "conversations", "checkpoint_migrations")),
    **dict.fromkeys(THREADS, "thread_id"),
    **dict.fromkeys(("sessions", "turns", "llm_calls"), "tenant_id"),
    **dict.fromkeys(("budget_holds", "budgets"), "payer"),
}


def test_operations_see_every_tenant(tenants: CouncilRoom, database_urls: DatabaseUrls) -> None:
    with psycopg.connect(database_urls.of(Role.OPS), row_factory=dict_row) as connection:
        for name, table in TENANT_TABLES.items():
            if name in HIDDEN or not (seen := OPERATIONS_SEE.get(name, "*")):
                continue
            rows: list[dict[str, Any]] = connection.execute(f"SELECT {seen} FROM {name}".encode()).fetchall()
            assert owners(table, rows) - {"platform"} == (set() if name in SHARED else set(TENANTS))
