"""Tests that totals equal the ledger's to the last digit, for any groups, filters and rolled-up hours."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Database, Row, Statement
from shared.db.usage import ledger as ledger_rows
from shared.db.usage import totals as usage
from shared.db.usage.ledger import load_ledger
from shared.db.usage.roll_up import roll_up
from shared.db.usage.totals import GROUPS, OPERATOR_GROUPS, Period, load_totals
from shared.domain.actor import Actor
from shared.errors import InvalidRequest
from shared.names import Role
from tests.support.council_room import DatabaseUrls
from tests.support.ledger_rows import (
    POSTERS,
    PROVIDERS,
    REASONS,
    Sums,
    entries,
    entry,
    hours_ago,
    insert,
    insert_as_before,
    insert_turns,
    sums,
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


class TestRows:
    def pages(self, db: Database, limit: int, order: Order, then: Any = lambda: None) -> list[Row]:
        found: list[Row] = []
        cursor = None
        while True:
            page = load_ledger(db, ADMINS[0], ALL, PageRequest(limit, cursor, order))
            assert len(page.items) <= limit
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found
            then()

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_pages_show_every_row_once_while_new_ones_arrive(
        self, owner: psycopg.Connection[Row], db: Database, ledger: list[Row], order: Order
    ) -> None:
        # Several rows have one moment, like those that are posted together.
        insert(owner, together := [entry(START + timedelta(hours=2)) for _ in range(30)])
        mine = [row["call_id"] for row in [*within(ledger, ALL, TENANTS[0]), *together]]
        shown = self.pages(db, 7, order, lambda: insert(owner, [entry(datetime.now(UTC))]))
        ids = [row["call_id"] for row in shown]
        assert len(ids) == len(set(ids))
        assert set(mine) <= set(ids)
        assert (set(mine) == set(ids)) == (order == "desc")
        times = [row["created_at"] for row in shown]
        assert times == sorted(times, reverse=order == "desc")

    def test_row_has_its_reason_its_provider_and_its_turns_user(self, db: Database, ledger: list[Row]) -> None:
        def told(rows: Sequence[Row]) -> dict[object, tuple[object, ...]]:
            names = ("reason", "provider", "user_id", "api_key_id")
            return {row["call_id"]: tuple(row[name] for name in names) for row in rows}

        expected = told(within(ledger, ALL, TENANTS[0]))
        assert told(self.pages(db, 100, "asc")) == expected
        assert {(user_id, key_id) for *_, user_id, key_id in expected.values()} == set(POSTERS)
        assert {reason for reason, *_ in expected.values()} == set(REASONS)
        assert {provider for _, provider, *_ in expected.values()} == set(PROVIDERS)

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("user_id", ["user-1", "user-2", "nobody"])
    def test_a_members_rows_are_those_of_its_own_turns_on_full_pages(
        self, db: Database, ledger: list[Row], user_id: str, order: Order
    ) -> None:
        own = {row["call_id"] for row in within(ledger, ALL, TENANTS[0]) if row["user_id"] == user_id}
        shown, cursor = list[Row](), None
        while True:
            page = load_ledger(db, Actor(TENANTS[0], user_id), ALL, PageRequest(7, cursor, order))
            shown += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.items) == 7
        assert len(shown) == len(own)
        assert {row["call_id"] for row in shown} == own

    def test_page_has_only_rows_of_its_period_and_tenant(self, db: Database, ledger: list[Row]) -> None:
        period = PERIODS["parts of hours"]
        page = load_ledger(db, ADMINS[1], period, PageRequest(1000))
        assert page.next_cursor is None
        assert {row["call_id"] for row in page.items} == {r["call_id"] for r in within(ledger, period, TENANTS[1])}


def matching(rows: Sequence[Row], filters: dict[str, object]) -> set[UUID]:
    return {row["call_id"] for row in rows if all(row[name] == value for name, value in filters.items())}


def filtered(db: Database, actor: Actor, filters: dict[str, object], limit: int = 7) -> list[UUID]:
    """Return all pages of the rows that match."""
    shown, cursor = list[UUID](), None
    while True:
        page = load_ledger(db, actor, ALL, PageRequest(limit, cursor), filters)
        shown += [row["call_id"] for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return shown
        assert len(page.items) == limit


class TestFilters:
    @pytest.mark.parametrize("name", [name for name in ledger_rows.FILTERS if name != "turn_id"])
    def test_each_total_leads_to_its_rows(self, db: Database, ledger: list[Row], name: str) -> None:
        own = within(ledger, ALL, TENANTS[0])
        groups = {key[0]: sums.calls for key, sums in totals(db, TENANTS[0], ALL, [name])}
        assert groups.keys() == {row[name] for row in own}
        for value, calls in groups.items():
            shown = filtered(db, ADMINS[0], {name: value})
            assert len(shown) == len(set(shown))
            assert set(shown) == matching(own, {name: value})
            assert calls == sum(row["kind"] == "post" for row in own if row["call_id"] in set(shown))

    def test_filters_are_combined(self, db: Database, ledger: list[Row]) -> None:
        filters: dict[str, object] = {"agent_key": None, "api_key_id": None, "model_alias": "fast", "reason": "helper"}
        shown = filtered(db, ADMINS[0], filters)
        assert set(shown) == matching(within(ledger, ALL, TENANTS[0]), filters) != set()

    def test_a_filter_shows_a_member_no_rows_of_others(self, db: Database, ledger: list[Row]) -> None:
        member = Actor(TENANTS[0], "user-2")
        assert filtered(db, member, {"user_id": "user-1"}) == []
        own = [row for row in within(ledger, ALL, TENANTS[0]) if row["user_id"] == "user-2"]
        assert set(filtered(db, member, {"account": "tenant"})) == matching(own, {"account": "tenant"})

    def test_a_turn_is_shown_alone(self, db: Database, ledger: list[Row]) -> None:
        own = within(ledger, ALL, TENANTS[0])
        for turn_id in {row["turn_id"] for row in own}:
            assert set(filtered(db, ADMINS[0], {"turn_id": turn_id})) == matching(own, {"turn_id": turn_id})

    def test_filters_are_the_turn_and_all_groups_except_the_day(self) -> None:
        assert {"day", *ledger_rows.FILTERS} == {"turn_id", *GROUPS}

    @pytest.mark.parametrize("is_null", [False, True])
    def test_filtered_rows_are_read_by_index_from_the_cursor(
        self, app_url: str, ledger: list[Row], is_null: bool
    ) -> None:
        """The index limits the read rows by tenant, period and cursor. A page needs no sort."""
        names = ("agent_key", "api_key_id") if is_null else ledger_rows.FILTERS
        statement = ledger_rows._list("desc", tuple((name, is_null) for name in names))
        _, params = LEDGER_STATEMENTS["rows"]
        values = {} if is_null else {f"u_{name}": ledger[0][name] or UUID(int=3) for name in names}
        plan = plan_of(app_url, statement, params | values | ADMINS[0].params, seqscan=False)
        (condition,) = [line for line in plan if "Index Cond" in line and "created_at" in line]
        assert "tenant_id" in condition
        assert condition.count("created_at") >= 3
        assert not [line for line in plan if "Sort" in line]
        assert any("usage_ledger_tenant_id_created_at_id_idx" in line for line in plan)


def plan_of(app_url: str, statement: Statement, params: dict[str, object], *, seqscan: bool = True) -> list[str]:
    """Return the lines of the plan, of the application's role in the first tenant.

    Without `seqscan`, the planner reads every index in its order, as it would in a large table.
    """
    ((text, values),) = statement.sent(params)
    with psycopg.connect(app_url, cursor_factory=psycopg.RawCursor) as connection:
        for scan in ("enable_seqscan", "enable_bitmapscan"):
            connection.execute(f"SET LOCAL {scan} = {'on' if seqscan else 'off'}".encode())
        connection.execute("SELECT set_config('app.tenant_id', $1, true)", (TENANTS[0],))
        return [line for (line,) in connection.execute(f"EXPLAIN {text}".encode(), values)]


MEMBER = Actor(TENANTS[0], "user-1")
ACTORS = {"an admin": ADMINS[0], "a member": MEMBER}


def totals_params(groups: Sequence[str]) -> dict[str, object]:
    params: dict[str, object] = {f"u_by_{name}": True for name in groups} | ALL.params()
    return params | {f"u_after_{name}": None for name in groups} | {"u_first_page": True, "u_limit": 100}


@pytest.mark.parametrize("actor", ACTORS.values(), ids=ACTORS)
def test_rows_are_found_by_tenant_and_time(app_url: str, actor: Actor) -> None:
    """A bound outside the index condition would be checked row by row for the whole tenant: a month takes seconds."""
    statement = usage._statement(GROUPS, "desc", from_ledger=False)
    plan = plan_of(app_url, statement, totals_params(GROUPS) | actor.params, seqscan=False)
    bounds = [line for line in plan if "created_at" in line or "start" in line]
    assert len([line for line in bounds if "Index Cond" in line]) == 5
    assert [line for line in bounds if "Filter" in line] == []


LEDGER_STATEMENTS: dict[str, tuple[Statement, dict[str, object]]] = {
    "totals": (usage._statement(GROUPS, "desc", from_ledger=True), totals_params(GROUPS)),
    "rows": (
        ledger_rows._LIST["desc"],
        {"u_from": ALL.start, "u_to": ALL.end, "u_after_at": ALL.end, "u_after_id": 0, "u_limit": 10_001},
    ),
}


@pytest.mark.parametrize(("actor", "lookups"), [(ADMINS[0], 2), (MEMBER, 3)], ids=ACTORS)
@pytest.mark.parametrize("name", LEDGER_STATEMENTS)
def test_a_rows_turn_is_found_by_its_id_however_many_turns_there_are(
    owner: psycopg.Connection[Row], app_url: str, ledger: list[Row], name: str, actor: Actor, lookups: int
) -> None:
    """The ledger's view looks turns up for rows of the release before, once for the user and once for the key.

    For a member it does so once more, to leave out other users' rows.
    """
    insert_turns(owner, [entry(NOW, "tenant-3") for _ in range(2000)])
    owner.execute("ANALYZE turns, usage_ledger")
    statement, params = LEDGER_STATEMENTS[name]
    plan = plan_of(app_url, statement, params | actor.params)
    turns = [number for number, line in enumerate(plan) if " on turns" in line]
    assert len(turns) == lookups
    for number in turns:
        assert re.search(r"Index Scan using \w+ on turns", plan[number])
        assert re.search(r"Index Cond: \(.*\bid = usage_ledger\.turn_id\b", plan[number + 1])


@pytest.mark.parametrize("group", ["user_id", "api_key_id"])
def test_groups_of_users_are_for_tenants_only(db: Database, ledger: list[Row], group: str) -> None:
    assert group not in OPERATOR_GROUPS
    assert dict(totals(db, TENANTS[0], ALL, [group])) == sums(within(ledger, ALL, TENANTS[0]), [group])
