"""Tests the log lines of the tenants that cost the platform most, the most expensive first."""

import logging
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from shared.db.engine import Database, Row
from shared.db.operations.allowances import load_allowances
from shared.errors import DatabaseUnavailable
from shared.names import Role
from shared.operations import costs
from tests.support.council_room import DatabaseUrls

MONTH = "date_trunc('month', timezone('UTC', now()))::date"


@pytest.fixture
def ops(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPS))
    yield database
    database.close()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "shared.operations")
    return caplog


@pytest.fixture
def drawn(owner: psycopg.Connection[Row]) -> None:
    """Three tenants that have drawn this month, and rows that are not drawn."""
    owner.execute(
        f"""
        INSERT INTO budgets (payer, period, held_usd, spent_usd) VALUES
        ('platform:a', {MONTH}, 0, 1), ('platform:b', {MONTH}, 2.5, 0.5), ('platform:c', {MONTH}, 0, 2),
        ('platform:held', {MONTH}, 9, 0), ('tenant:a', {MONTH}, 0, 99),
        ('platform:a', {MONTH} - interval '1 month', 0, 77)""".encode()
    )
    owner.execute(
        f"""
        INSERT INTO budget_holds (id, tenant_id, reason, payer, period, held_usd) VALUES
        (gen_random_uuid(), 'b', 'suspense', 'platform:b', {MONTH}, 1.5),
        (gen_random_uuid(), 'b', 'suspense', 'platform:b', {MONTH}, 1),
        (gen_random_uuid(), 'b', 'accepted', 'platform:b', {MONTH}, 50),
        (gen_random_uuid(), 'a', 'suspense', 'tenant:a', {MONTH}, 50),
        (gen_random_uuid(), 'a', 'suspense', 'platform:a', {MONTH} - interval '1 month', 50)""".encode()
    )


@pytest.mark.usefixtures("drawn")
def test_a_tenant_has_drawn_what_the_platform_spent_for_it_and_what_is_in_suspense(ops: Database) -> None:
    found = [(each.tenant_id, each.drawn_usd, each.suspense_usd) for each in load_allowances(ops, 10, 60.0)]
    assert found == [("b", Decimal(3), Decimal("2.5")), ("c", Decimal(2), 0), ("a", Decimal(1), 0)]
    assert [each.tenant_id for each in load_allowances(ops, 2, 60.0)] == ["b", "c"]


@pytest.mark.usefixtures("drawn")
def test_the_most_expensive_tenants_have_a_log_line_each(
    ops: Database, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "_MOST_EXPENSIVE", 2)
    costs.log_allowances(ops, 60.0)
    names = ("message", "tenant_id", "drawn_usd", "drawn_suspense_usd")
    told = [tuple(vars(record)[name] for name in names) for record in logged.records]
    assert told == [("allowance drawn", "b", "3", "2.5"), ("allowance drawn", "c", "2", "0")]


def test_allowances_that_are_not_read_in_time_are_not_logged(
    ops: Database, database_urls: DatabaseUrls, logged: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database_urls.owner, options="-c idle_in_transaction_session_timeout=10s") as busy:
        busy.execute("LOCK TABLE budget_holds IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable):
            costs.log_allowances(ops, 0.05)
    assert logged.records == []
