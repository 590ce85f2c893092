"""Tests that this hour's cost and the usual hour's cost equal the ledger, with any part rolled up."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from shared.db.engine import Database, Row
from shared.db.operations.hour_costs import Hours, load_hours
from shared.names import Role
from tests.support.council_room import DatabaseUrls
from tests.support.ledger_rows import entry, insert
from tests.support.rolled_up import finish

SECONDS = 60.0
DAYS = 7


@pytest.fixture
def ops(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPS))
    yield database
    database.close()


def this_hour(owner: psycopg.Connection[Row]) -> datetime:
    (row,) = owner.execute("SELECT date_trunc('hour', now(), 'UTC') AS hour")
    hour: datetime = row["hour"]
    return hour


def post(
    owner: psycopg.Connection[Row], at: datetime, usd: object, tenant_id: str = "tenant-1", **changes: object
) -> None:
    insert(owner, [entry(at, tenant_id) | {"amount_usd": Decimal(str(usd))} | changes])


@pytest.fixture
def week(owner: psycopg.Connection[Row]) -> datetime:
    """Days whose same hour cost 1 to 7 USD, in two tenants, and neighbouring hours that do not count."""
    hour = this_hour(owner)
    for day in range(1, DAYS + 1):
        start = hour - timedelta(days=day)
        post(owner, start, day / 2)
        post(owner, start, -50, account="suspense", kind="adjustment")
        post(owner, start + timedelta(minutes=59, seconds=59), day / 2, tenant_id="tenant-2")
        post(owner, start - timedelta(seconds=1), 100)
        post(owner, start + timedelta(hours=1), 100)
    post(owner, hour - timedelta(days=8), 100)
    post(owner, hour, 9)
    return hour


@pytest.mark.parametrize("days_rolled_up", [0, 4, 7])
@pytest.mark.usefixtures("week")
def test_usual_hour_is_the_same_hour_of_the_days_before(
    owner: psycopg.Connection[Row], ops: Database, days_rolled_up: int
) -> None:
    if days_rolled_up:
        finish(owner)
        # An hour that is rolled up beyond `until` does not count twice.
        owner.execute("UPDATE usage_rolled_up SET until = until - %s * interval '24 hours'", (DAYS - days_rolled_up,))
    found = load_hours(ops, SECONDS)
    assert found == Hours(Decimal(9), [Decimal(day) for day in range(1, DAYS + 1)])
    assert found.usual_usd == 4


@pytest.mark.usefixtures("week")
def test_a_rolled_up_hour_is_not_read_from_the_ledger(owner: psycopg.Connection[Row], ops: Database) -> None:
    finish(owner)
    before = load_hours(ops, SECONDS)
    owner.execute("DELETE FROM usage_ledger WHERE created_at < now() - interval '1 day'")
    assert load_hours(ops, SECONDS) == before


def test_an_hour_counts_an_unknown_call_and_no_settlement(owner: psycopg.Connection[Row], ops: Database) -> None:
    hour = this_hour(owner)
    post(owner, hour, 2)
    post(owner, hour, 3, account="suspense")
    post(owner, hour, -50, account="suspense", kind="adjustment")
    assert load_hours(ops, SECONDS).now_usd == 5


def test_usual_hour_does_not_rise_after_one_expensive_day() -> None:
    days = [Decimal(1)] * 6
    assert Hours(Decimal(0), [*days, Decimal(1000)]).usual_usd == 1


def test_hours_without_a_ledger_cost_nothing(ops: Database) -> None:
    assert load_hours(ops, SECONDS) == Hours(Decimal(0), [Decimal(0)] * DAYS)
