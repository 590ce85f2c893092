"""Tests that 0022 counts holds and spending of release 0.1.0 in the exact months."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import dict_row

from shared.db.engine import Row
from tests.support.council_room import CouncilRoom, answer

TENANT = "tenant-1"
OWN = f"tenant:{TENANT}"
MONTH = "date_trunc('month', timezone('UTC', now()))::date"
# The statements by which 0.1.0 adds to a month, in a hold and in a settlement.
ADD = f"""INSERT INTO budgets (payer, period, held_usd, spent_usd) SELECT %s, {MONTH}, %s, %s
    ON CONFLICT (payer, period) DO UPDATE
    SET held_usd = budgets.held_usd + excluded.held_usd, spent_usd = budgets.spent_usd + excluded.spent_usd
    RETURNING payer"""
BESIDE = f"""INSERT INTO budget_settlements (payer, period, held_usd, spent_usd) SELECT %s, {MONTH}, %s, %s
    RETURNING payer"""
CALL = f"""INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, model_alias,
        provider, model_id, request_hash, payer, period, reserve_usd, rates, status)
    SELECT gen_random_uuid(), tenant_id, session_id, id, 7, 1, 'routing', 'fast', 'scripted', 'fast', '', %s, {MONTH},
        1, '{{}}', 'intent'
    FROM turns RETURNING payer"""
MONTHS = "SELECT payer, held_usd, spent_usd FROM budgets WHERE starts_with(payer, 'platform') ORDER BY payer"


@pytest.fixture
def as_tenant(room: CouncilRoom) -> Iterator[psycopg.Connection[Row]]:
    """A connection of the application's role, in a transaction of a tenant with a turn. It is rolled back."""
    room.provider.enqueue(answer("Hello."))
    room.take("@writer hello")
    with psycopg.connect(room.app_url, row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", (TENANT,))
        yield connection
        connection.rollback()


def test_platforms_month_of_0_1_0_is_the_share_of_the_tenant(as_tenant: psycopg.Connection[Row]) -> None:
    for held, spent in ((3, 0), (2, 0), (-4, 2)):
        assert as_tenant.execute(ADD, ("platform", held, spent)).fetchall() == [{"payer": f"platform:{TENANT}"}]
    assert as_tenant.execute(MONTHS).fetchall() == [{"payer": f"platform:{TENANT}", "held_usd": 1, "spent_usd": 2}]


def test_platforms_month_is_refused_without_a_tenant(app_url: str) -> None:
    with psycopg.connect(app_url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(ADD, ("platform", 1, 0))


def test_spent_share_never_falls_when_0_1_0_writes_it(as_tenant: psycopg.Connection[Row]) -> None:
    as_tenant.execute(ADD, ("platform", 0, 2))
    with pytest.raises(errors.InsufficientPrivilege, match="budgets_spent_never_falls"):
        as_tenant.execute(ADD, ("platform", 0, -1))


def test_hold_of_0_1_0_gets_no_row_while_the_platforms_limit_is_spent(
    room: CouncilRoom, as_tenant: psycopg.Connection[Row]
) -> None:
    """A settlement gets its row, because spent money is always counted."""
    assert as_tenant.execute(ADD, ("platform", 3, 0)).rowcount == 1
    room.limit(5, "platform")
    room.owner.execute(f"INSERT INTO platform_months VALUES ({MONTH}, 5)".encode())
    assert as_tenant.execute(ADD, ("platform", 1, 0)).rowcount == 0
    assert as_tenant.execute(ADD, ("platform", -3, 2)).rowcount == 1
    room.limit(6, "platform")
    assert as_tenant.execute(ADD, ("platform", 1, 0)).rowcount == 1


def test_call_that_names_the_share_is_one_of_the_platform(as_tenant: psycopg.Connection[Row]) -> None:
    assert as_tenant.execute(CALL, (f"platform:{TENANT}",)).fetchall() == [{"payer": "platform"}]
    for other in ("platform:tenant-2", "tenant:tenant-2", "platform:"):
        with pytest.raises(errors.CheckViolation, match="llm_calls_payer_check"), as_tenant.transaction():
            as_tenant.execute(CALL, (other,))


@pytest.mark.parametrize(("payer", "counted"), [(OWN, OWN), ("platform", f"platform:{TENANT}")])
def test_settlement_beside_a_month_is_counted_in_at_once(
    as_tenant: psycopg.Connection[Row], payer: str, counted: str
) -> None:
    sums = "SELECT held_usd, spent_usd FROM budgets WHERE payer = %s"
    as_tenant.execute(ADD, (payer, 5, 0))
    (before,) = as_tenant.execute(sums, (counted,)).fetchall()
    # 0.1.0 goes on only if its statement returns the row.
    assert as_tenant.execute(BESIDE, (payer, -5, 4)).fetchall() == [{"payer": payer}]
    (after,) = as_tenant.execute(sums, (counted,)).fetchall()
    assert (after["held_usd"] - before["held_usd"], after["spent_usd"] - before["spent_usd"]) == (-5, 4)
    assert as_tenant.execute("SELECT FROM budget_settlements").fetchall() == []


def test_settlement_of_another_tenant_is_refused(as_tenant: psycopg.Connection[Row]) -> None:
    for payer in ("tenant:tenant-2", "platform:tenant-2"):
        with pytest.raises(errors.InsufficientPrivilege), as_tenant.transaction():
            as_tenant.execute(BESIDE, (payer, 0, 1))


def test_operations_read_the_months_that_the_sweeper_of_0_1_0_reads(ops_url: str) -> None:
    with psycopg.connect(ops_url) as connection:
        assert connection.execute("SELECT sum(held_usd) FROM budget_months").fetchone() is not None
        assert connection.execute("SELECT DISTINCT payer, period FROM budget_settlements").fetchall() == []
