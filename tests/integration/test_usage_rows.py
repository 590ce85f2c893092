"""Tests the rows of usage: pages, filters, and the indexes by which they are read."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Database, Row, Statement
from shared.db.usage import ledger as ledger_rows
from shared.db.usage import totals as usage
from shared.db.usage.ledger import load_ledger
from shared.db.usage.totals import GROUPS
from shared.domain.actor import Actor
from tests.support.ledger_rows import (
    POSTERS,
    PROVIDERS,
    REASONS,
    entry,
    insert,
    insert_turns,
)
from tests.support.usage_ledger import ADMINS, ALL, NOW, PERIODS, START, TENANTS, totals, within
from tests.support.usage_ledger import ledger as ledger  # noqa: PLC0414 a fixture


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
