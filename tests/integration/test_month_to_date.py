"""Tests that the month so far is exact with any part of the ledger rolled up, and that it reads only the rest."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
import pytest

from shared.db.engine import Database, Row
from shared.db.operations.invariants import EVER, INVARIANTS, SPENT, load_broken
from shared.db.operations.month_costs import load_month
from shared.db.usage.roll_up import roll_up
from shared.domain.money import TOKEN_CLASSES
from shared.names import Role
from tests.support.council_room import DatabaseUrls
from tests.support.ledger_rows import entries, entry, hours_ago, insert
from tests.support.rolled_up import finish

SECONDS = 60.0
SUMS = ", ".join(f"coalesce(sum({name}) FILTER (WHERE of_month), 0)::bigint AS {name}" for name in TOKEN_CLASSES)
PLAIN = f"""
    SELECT model_alias, purpose, account, reason, provider, coalesce(sum(amount_usd) FILTER (WHERE of_month), 0) AS usd,
        coalesce(sum(amount_usd) FILTER (WHERE account = 'suspense'), 0) AS suspense_usd, {SUMS}
    FROM (SELECT *, period = date_trunc('month', timezone('UTC', now())) AS of_month FROM usage_entries) rows
    WHERE of_month OR account = 'suspense' GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""
BUDGETS: LiteralString = """
    INSERT INTO budgets (payer, period, spent_usd)
    SELECT account || ':' || tenant_id, period, sum(amount_usd)
    FROM usage_ledger WHERE account <> 'suspense' GROUP BY 1, 2"""


@pytest.fixture
def ops(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPS))
    yield database
    database.close()


@pytest.fixture
def ledger(owner: psycopg.Connection[Row]) -> list[Row]:
    """A week of two tenants with their budgets. Some holds belong to the month before."""
    last_month = (hours_ago(0).date().replace(day=1) - timedelta(days=1)).replace(day=1)
    late = [entry(hours_ago(hours), period=last_month) for hours in (0.2, 1.5, 30, 150)]
    lost = entry(hours_ago(160), period=last_month, account="suspense")
    rows = [*entries(11, 400, hours_ago(168), hours_ago(0.1), ("tenant-1", "tenant-2")), *late, lost]
    insert(owner, rows)
    owner.execute(BUDGETS)
    return rows


def month(ops: Database) -> list[tuple[object, ...]]:
    """Return the groups with an amount or a token. A group whose posts all belong to another month has only zeros."""
    found = [e for e in load_month(ops, SECONDS).entries if e.usd or e.suspense_usd or any(e.usage.as_dict().values())]
    return [
        (e.model_alias, e.purpose, e.account, e.reason, e.provider, e.usd, e.suspense_usd, *e.usage.as_dict().values())
        for e in found
    ]


def plain(owner: psycopg.Connection[Row]) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in owner.execute(PLAIN.encode())]


@pytest.mark.usefixtures("ledger")
def test_month_to_date_is_the_ledgers_sum_with_any_part_rolled_up(
    owner: psycopg.Connection[Row], ops: Database
) -> None:
    expected = plain(owner)
    assert month(ops) == expected
    reached: list[datetime | None] = [roll_up(ops, 1)]
    while reached[-1] is not None:
        assert month(ops) == expected
        assert load_month(ops, SECONDS).drift_usd == 0
        assert load_broken(ops, SPENT, 1, seconds=SECONDS) == []
        reached.append(roll_up(ops, 15))
    assert len(reached) > 10


@pytest.mark.usefixtures("ledger")
def test_rolled_up_hours_are_not_read_from_the_ledger(owner: psycopg.Connection[Row], ops: Database) -> None:
    roll_up(ops, 1000)
    finish(owner)
    before = month(ops)
    owner.execute(
        """DELETE FROM usage_ledger WHERE created_at < (SELECT until FROM usage_rolled_up)
        AND period = date_trunc('month', timezone('UTC', created_at))"""
    )
    assert month(ops) == before
    assert load_month(ops, SECONDS).drift_usd == 0
    assert load_broken(ops, SPENT, 1, since=EVER, seconds=SECONDS) == []


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("table", ["usage_hours", "usage_days", "usage_ledger"])
def test_all_rolled_up_hours_are_compared_with_the_ledger_in_a_full_check(
    owner: psycopg.Connection[Row], ops: Database, table: str
) -> None:
    everything = INVARIANTS["what is rolled up is what the ledger says"].encode()
    roll_up(ops, 1000)
    assert owner.execute(everything).fetchall() == []
    column = "created_at" if table == "usage_ledger" else "start"
    change = f"UPDATE {table} SET amount_usd = amount_usd + 1 WHERE {column} < now() - interval '4 days'"
    assert owner.execute(change.encode()).rowcount
    assert owner.execute(everything).fetchall()
