"""Tests that a row names no row of another tenant, and that the ledger and its views keep to their reader."""

import json

import psycopg
import pytest
from uuid6 import uuid7

from shared.db.engine import Row
from shared.db.schema.tables import metadata
from shared.names import Role
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.tenant_tables import ALLOWED, TENANTS, stored
from tests.support.tenant_tables import as_tenant as as_tenant  # noqa: PLC0414 a fixture
from tests.support.tenant_tables import tenants as tenants  # noqa: PLC0414 a fixture


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
