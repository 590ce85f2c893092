"""Tests that no statement of a tenant sees or changes another's row. Each new table must be listed."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import select

from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.schema.tables import metadata
from shared.names import Role
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.tenant_tables import (
    ALLOWED,
    HIDDEN,
    OPERATIONS,
    OPERATOR,
    SHARED,
    TABLES,
    TENANT_TABLES,
    TENANTS,
    THREADS,
    as_json,
    everything,
    owners,
    read,
    stored,
)
from tests.support.tenant_tables import as_tenant as as_tenant  # noqa: PLC0414 a fixture
from tests.support.tenant_tables import tenants as tenants  # noqa: PLC0414 a fixture
from tests.support.watched_database import transaction

# The roles with policies on a table, if they differ from the application and operations.
ROLES = {
    "invocation_log_hours": [Role.OPS],
    "api_keys": [Role.APP, Role.AUTH, Role.OPS],
    "councils": [Role.APP],
    "checkpoint_migrations": [Role.APP],
    **{name: [Role.APP, Role.OPERATOR, Role.OPS] for name in OPERATOR},
}


# The application writes none of them.
DERIVED = {
    *("checkpoint_migrations", "checkpoint_writes"),
    *("usage_hourly", "usage_daily", "usage_progress", "platform_months"),
    *("usage_hours", "usage_days", "usage_rolled_up"),
}


# The most rights of the application on each table.
CHANGING = ("UPDATE", "DELETE", "TRUNCATE")


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
