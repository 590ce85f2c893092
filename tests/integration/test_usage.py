"""Tests that totals equal the ledger's to the last digit, for any groups and rolled-up hours."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from uuid import UUID

import psycopg
import pytest

from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Database, Row
from shared.db.usage.roll_up import roll_up
from shared.db.usage.totals import GROUPS, OPERATOR_GROUPS, Period, load_totals
from shared.domain.actor import Actor
from shared.errors import InvalidRequest
from tests.support.ledger_rows import (
    Sums,
    entry,
    hours_ago,
    insert,
    sums,
)
from tests.support.usage_ledger import ADMINS, ALL, PERIODS, START, TENANTS, pages_of_totals, totals, within
from tests.support.usage_ledger import ledger as ledger  # noqa: PLC0414 a fixture
from tests.support.usage_ledger import operator as operator  # noqa: PLC0414 a fixture
from tests.support.usage_ledger import ops as ops  # noqa: PLC0414 a fixture


@pytest.mark.parametrize("hours", [0, 1, 48, 1000], ids=lambda hours: f"{hours}-rolled-up")
class TestExactness:
    @pytest.fixture
    def ledger(self, ledger: list[Row], ops: Database, hours: int) -> list[Row]:
        """The ledger, with this number of its hours rolled up."""
        roll_up(ops, hours)
        return ledger

    def test_totals_are_those_of_the_ledger(self, db: Database, ledger: list[Row]) -> None:
        for name, period in PERIODS.items():
            for groups in (("day", "model_alias"), ("session_id", "agent_key"), ("purpose", "account")):
                expected = sums(within(ledger, period, TENANTS[0]), groups)
                assert dict(totals(db, TENANTS[0], period, groups)) == expected, name

    def test_totals_are_right_for_any_combination_of_groups(self, db: Database, ledger: list[Row]) -> None:
        period = PERIODS["parts of hours"]
        for number in range(1, len(GROUPS) + 1):
            for groups in combinations(GROUPS, number):
                expected = sums(within(ledger, period, TENANTS[0]), groups)
                assert dict(totals(db, TENANTS[0], period, groups)) == expected

    def test_the_operator_sees_every_tenant_apart_or_together(self, operator: Database, ledger: list[Row]) -> None:
        for groups in (("tenant_id",), OPERATOR_GROUPS, ("day",)):
            assert dict(totals(operator, None, ALL, groups)) == sums(ledger, groups)


@pytest.mark.parametrize("hours", [0, 48, 1000], ids=lambda hours: f"{hours}-rolled-up")
def test_a_member_is_shown_its_own_turns_in_any_combination_of_groups(
    db: Database, ops: Database, ledger: list[Row], hours: int
) -> None:
    roll_up(ops, hours)
    for user_id in ("user-1", "user-2", "nobody"):
        own = [row for row in within(ledger, ALL, TENANTS[0]) if row["user_id"] == user_id]
        for number in range(1, len(GROUPS) + 1):
            for groups in combinations(GROUPS, number):
                shown = pages_of_totals(db, Actor(TENANTS[0], user_id), ALL, groups)
                assert dict(shown) == sums(own, groups), groups


def test_totals_without_groups_are_one_row_and_none_without_a_ledger(db: Database, ledger: list[Row]) -> None:
    assert totals(db, TENANTS[0], ALL, ()) == list(sums(within(ledger, ALL, TENANTS[0]), ()).items())
    nothing = Sums(0, (0,) * 5, Decimal(0), Decimal(0), Decimal(0))
    assert totals(db, TENANTS[0], PERIODS["before everything"], ()) == [((), nothing)]
    assert totals(db, TENANTS[0], PERIODS["before everything"], ("day",)) == []
    assert totals(db, "nobody", ALL, ()) == [((), nothing)]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "groups", [("day", "agent_key"), ("session_id", "purpose"), ("reason", "user_id", "api_key_id"), GROUPS, ()]
)
def test_pages_of_totals_show_each_group_once_in_one_order(
    db: Database, ops: Database, ledger: list[Row], groups: tuple[str, ...], order: Order
) -> None:
    roll_up(ops, 50)
    whole = totals(db, TENANTS[0], ALL, groups, 100, order)
    assert totals(db, TENANTS[0], ALL, groups, 3, order) == whole
    keys = [tuple("" if value is None else str(value) for value in key) for key, _ in whole]
    assert keys == sorted(keys, reverse=order == "desc")
    assert dict(whole) == sums(within(ledger, ALL, TENANTS[0]), groups)


def test_a_cursor_belongs_to_its_groups(db: Database, ledger: list[Row]) -> None:
    cursor = load_totals(db, ADMINS[0], ALL, ["agent_key"], PageRequest(1)).next_cursor
    assert cursor is not None
    with pytest.raises(InvalidRequest):
        load_totals(db, ADMINS[0], ALL, ["model_alias"], PageRequest(1, cursor))


@pytest.mark.parametrize("groups", [["session_id"], ["day", "session_id"], ["session_id", "user_id"]])
def test_sessions_are_grouped_over_at_most_92_days(db: Database, ledger: list[Row], groups: list[str]) -> None:
    longest = Period(ALL.end - timedelta(days=92), ALL.end)
    assert dict(totals(db, TENANTS[0], longest, groups)) == sums(within(ledger, ALL, TENANTS[0]), groups)
    with pytest.raises(InvalidRequest, match="92 days"):
        totals(db, TENANTS[0], Period(longest.start - timedelta(microseconds=1), longest.end), groups)


def test_groups_other_than_sessions_have_no_longest_period(db: Database, ops: Database, ledger: list[Row]) -> None:
    roll_up(ops, 48)
    ever = Period(datetime(2000, 1, 1, tzinfo=UTC), ALL.end)
    groups = [name for name in GROUPS if name != "session_id"]
    assert dict(totals(db, TENANTS[0], ever, groups)) == sums(within(ledger, ALL, TENANTS[0]), groups)


@pytest.mark.parametrize("groups", [["reason"], ["user_id", "api_key_id"], ["provider"]])
def test_reason_user_key_and_provider_are_read_from_rolled_up_hours(
    owner: psycopg.Connection[Row], db: Database, ops: Database, ledger: list[Row], groups: list[str]
) -> None:
    roll_up(ops, 1000)
    reached = owner.execute("SELECT until FROM usage_rolled_up").fetchall()[0]["until"]
    owner.execute("DELETE FROM usage_ledger")
    period = Period(START, reached)
    assert dict(totals(db, TENANTS[0], period, groups)) == sums(within(ledger, period, TENANTS[0]), groups)


@pytest.mark.parametrize("hours", [0, 1000], ids=lambda hours: f"{hours}-rolled-up")
def test_a_page_is_bounded_when_every_row_is_a_group_of_its_own(
    owner: psycopg.Connection[Row], db: Database, ops: Database, hours: int
) -> None:
    rows = [entry(hours_ago(5), user_id=f"user-{number}", api_key_id=UUID(int=number)) for number in range(1, 251)]
    insert(owner, rows)
    roll_up(ops, hours)
    first = load_totals(db, ADMINS[0], ALL, GROUPS if not hours else GROUPS[:1] + GROUPS[2:], PageRequest(100))
    assert len(first.items) == 100
    assert first.next_cursor is not None
    assert len(totals(db, TENANTS[0], ALL, ("user_id", "api_key_id"))) == len(rows)


def test_a_sum_may_be_greater_than_any_count(owner: psycopg.Connection[Row], db: Database, ops: Database) -> None:
    most = 2**63 - 1
    rows = [entry(hours_ago(5), input_tokens=most, amount_usd=Decimal(f"{most}.0000000001")) for _ in range(3)]
    insert(owner, rows)
    posted = totals(db, TENANTS[0], ALL, ())
    assert roll_up(ops, 100)
    owner.execute("DELETE FROM usage_ledger")
    assert totals(db, TENANTS[0], ALL, ()) == posted
    assert (posted[0][1].tokens[0], posted[0][1].cost_usd) == (3 * most, Decimal(f"{3 * most}.0000000003"))


@pytest.mark.parametrize("group", ["user_id", "api_key_id"])
def test_groups_of_users_are_for_tenants_only(db: Database, ledger: list[Row], group: str) -> None:
    assert group not in OPERATOR_GROUPS
    assert dict(totals(db, TENANTS[0], ALL, [group])) == sums(within(ledger, ALL, TENANTS[0]), [group])
