"""A ledger of two tenants, and totals of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest

from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Database, Row
from shared.db.usage.totals import Period, load_totals
from shared.domain.actor import Actor
from shared.names import Role
from tests.support.council_room import DatabaseUrls
from tests.support.ledger_rows import (
    Sums,
    entries,
    hours_ago,
    insert,
    insert_as_before,
)

TENANTS = ("tenant-1", "tenant-2")


ADMINS = tuple(Actor(tenant_id, "admin", is_admin=True) for tenant_id in TENANTS)


START = hours_ago(100).replace(minute=0, second=0, microsecond=0)


NOW = hours_ago(0)


ALL = Period(START, NOW + timedelta(hours=1))


PERIODS = {
    "all of it": ALL,
    "whole hours": Period(START + timedelta(hours=20), START + timedelta(hours=50)),
    "parts of hours": Period(START + timedelta(hours=20, minutes=17), START + timedelta(hours=50, seconds=1)),
    "within an hour": Period(START + timedelta(hours=30, minutes=5), START + timedelta(hours=30, minutes=55)),
    "an hour and its neighbours' ends": Period(START + timedelta(hours=29.9), START + timedelta(hours=31.1)),
    "the start of an hour": Period(START + timedelta(hours=30), START + timedelta(hours=30, microseconds=1)),
    "what is not rolled up": Period(hours_ago(0.9), NOW),
    "in another zone's words": Period(*(at.astimezone(UTC) for at in (hours_ago(60.5), hours_ago(3.25)))),
    "before everything": Period(START - timedelta(days=9), START),
}


@pytest.fixture
def ops(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPS))
    yield database
    database.close()


@pytest.fixture
def operator(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPERATOR))
    yield database
    database.close()


@pytest.fixture
def ledger(owner: psycopg.Connection[Row]) -> list[Row]:
    """Rows of this release, and of the release before, which stores no reason and no user with its posts."""
    rows = entries(5, 600, START, NOW, TENANTS)
    # Statistics would change at a random time in a test, and with them the plans of other queries.
    owner.execute(b"ALTER TABLE usage_ledger SET (autovacuum_enabled = false)")
    insert(owner, rows[::2])
    return rows[::2] + insert_as_before(owner, rows[1::2])


def within(rows: Sequence[Row], period: Period, tenant_id: str | None = None) -> list[Row]:
    return [
        row for row in rows if period.start <= row["created_at"] < period.end and tenant_id in (None, row["tenant_id"])
    ]


def totals(
    db: Database, tenant_id: str | None, period: Period, groups: Sequence[str], limit: int = 100, order: Order = "desc"
) -> list[tuple[tuple[Any, ...], Sums]]:
    """Return all pages of a list of totals, as an admin or operations see them."""
    actor = Actor(tenant_id, "admin", is_admin=True) if tenant_id else None
    return pages_of_totals(db, actor, period, groups, limit, order)


def pages_of_totals(
    db: Database, actor: Actor | None, period: Period, groups: Sequence[str], limit: int = 100, order: Order = "desc"
) -> list[tuple[tuple[Any, ...], Sums]]:
    found, cursor = [], None
    while True:
        page = load_totals(db, actor, period, groups, PageRequest(limit, cursor, order))
        found += [(tuple(row[name] for name in groups), Sums.of_row(row)) for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found
