"""One exact row counts a payer's month. A hold, a release or a post locks it, and payers never wait for each other."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from shared.db.api.budgets import load_budget, load_platform_budget, record_platform_month
from shared.db.protocol import ACCEPT, OPEN, PUBLISH
from shared.errors import BudgetExceeded
from shared.llm.port import Request
from shared.names import Env
from shared.operations.sweep import count_in_settled
from shared.settings import budget_settings, settings
from tests.council_room import DEADLINE_S, FAST_COST, CouncilRoom, Killed, answer, body, unbilled
from tests.other_process import OtherProcess
from tests.watched_database import WatchedDatabase

THIS_MONTH = "date_trunc('month', timezone('UTC', now()))::date"
PAYERS = ["platform", "platform:a", "platform:b", "tenant:a"]


@pytest.fixture
def small_defaults(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Enough for no call: neither a tenant's nor the platform's for a tenant."""
    monkeypatch.setenv(Env.DEFAULT_CAP_USD, "0.0000001")
    monkeypatch.setenv(Env.PLATFORM_ALLOWANCE_USD, "0.0000001")
    budget_settings.cache_clear()
    yield
    budget_settings.cache_clear()


def take(room: CouncilRoom, message: str = "@writer hello", **request: Any) -> Any:
    return room.take(message, session_id=room.make_session(), **request)


def adds_up(room: CouncilRoom, *, turns: int) -> bool:
    """Whether nothing is held, and the posts of this number of turns are spent."""
    posted = room.row(
        "SELECT count(DISTINCT turn_id) AS turns, sum(amount_usd) AS usd FROM usage_ledger WHERE account = 'tenant'"
    )
    spent = {"held_usd": 0, "spent_usd": posted["usd"]}
    return posted["turns"] == turns and room.budget(f"tenant:{room.tenant_id}") == spent


@pytest.mark.parametrize("first", [ACCEPT, OPEN, PUBLISH], ids=["accept", "ask", "publish"])
@pytest.mark.parametrize("limited", [True, False], ids=["limited", "default"])
def test_a_second_hold_or_release_waits_and_both_count(
    room: CouncilRoom, other: OtherProcess, first: Any, limited: bool
) -> None:
    room.take("@writer hello")
    if limited:
        room.limit(1)
    room.provider.enqueue(answer(), answer())
    other.comes_second(first, partial(other.take, "@writer hello", session_id=room.make_session()))
    take(room, "@writer @critic hello")
    assert other.result().published
    assert adds_up(room, turns=3)


def test_two_first_turns_of_a_month_make_one_row(room: CouncilRoom, other: OtherProcess) -> None:
    """The second finds no row, and waits for the one that the first is making. The same for the platform's share."""
    room.provider.enqueue(answer(""), answer())
    other.provider.enqueue(answer(""), answer())
    other.comes_second(ACCEPT, partial(other.take, "@writer hello", session_id=room.make_session()))
    take(room)
    assert other.result().published
    assert adds_up(room, turns=2)
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": 2 * FAST_COST}


def test_a_call_without_cost_makes_no_month_of_the_platform(room: CouncilRoom) -> None:
    room.provider.enqueue(unbilled("throttled"), answer())
    take(room)
    assert room.rows("SELECT payer FROM budgets") == [{"payer": f"tenant:{room.tenant_id}"}]


# The holds of three calls, moved to three months.
_MONTHS = """
    UPDATE llm_calls SET period = period - interval '1 month' * ((step + 1) % 3);
    DELETE FROM budgets;
    INSERT INTO budgets (payer, period, held_usd) SELECT payer, period, sum(reserve_usd) FROM llm_calls GROUP BY 1, 2
      UNION ALL SELECT DISTINCT 'platform:' || tenant_id, period, 0 FROM llm_calls"""


def test_months_are_locked_in_one_order(room: CouncilRoom, other: OtherProcess) -> None:
    """The tenant's before the platform's, older ones first. Someone locks all rows and releases them in that order: the
    publish waits for each of them in turn."""
    order = "SELECT payer, period FROM budgets ORDER BY payer DESC, period"
    waited: list[Any] = []

    def let_go_one_by_one() -> None:
        room.wait_until_blocked()
        for row in room.rows(order):
            waited.append(_waits_for(room, lockers, row))
            lockers.pop((row["payer"], row["period"])).close()

    lockers: dict[Any, psycopg.Connection[Any]] = {}

    def lock_all() -> None:
        room.owner.execute(_MONTHS)
        for row in room.rows(order):
            lockers[row["payer"], row["period"]] = connection = psycopg.connect(room.owner.info.dsn)
            connection.execute(
                "SELECT FROM budgets WHERE payer = %s AND period = %s FOR UPDATE", (row["payer"], row["period"])
            )
        parts.append(other.start(let_go_one_by_one))

    parts: list[Any] = []
    room.provider.enqueue(*[answer(""), answer()] * 3)
    room.db.before(PUBLISH, lock_all)
    take(room, "@writer @researcher @critic hello")
    parts[0].result()
    assert waited == [True] * 6


def _waits_for(room: CouncilRoom, lockers: dict[Any, psycopg.Connection[Any]], row: dict[str, Any]) -> bool:
    """Whether a connection waits for the one that locked this row."""
    pid = lockers[row["payer"], row["period"]].info.backend_pid
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    return any(room.row(query, pid)["n"] for _ in range(2000))


def test_tenants_never_meet(room: CouncilRoom) -> None:
    """Not even where the platform pays for both."""
    neighbour = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    neighbour.provider.enqueue(answer(""), answer())
    room.provider.enqueue(answer(""), answer())
    with neighbour.databases:
        room.db.hold(PUBLISH, lambda: neighbour.take("@writer hello"))
        take(room)
    shares = room.rows("SELECT payer, spent_usd FROM budgets WHERE payer LIKE 'platform%%' ORDER BY payer")
    assert shares == [{"payer": f"platform:tenant-{n}", "spent_usd": FAST_COST} for n in (1, 2)]


@pytest.mark.usefixtures("small_defaults")
def test_a_tenant_without_a_cap_has_the_default_one(room: CouncilRoom) -> None:
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello")
    assert load_budget(room.db, room.tenant_id).binding_usd == budget_settings().default_cap_usd
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-1', 1)")
    assert room.take("@writer hello").published


@pytest.mark.usefixtures("small_defaults")
def test_the_platform_bears_no_helper_beyond_its_allowance_for_a_tenant(room: CouncilRoom) -> None:
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-1', 1)")
    turn = body(room.take("hello", mode="orchestrator"))
    assert [(each["component"], each["reason"]) for each in turn["fallbacks"]] == [("routing", "budget_exceeded")]
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('platform:tenant-1', 1)")
    room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
    assert body(take(room, mode="orchestrator"))["plan"]["source"] == "routing"


def test_the_platforms_limit_is_compared_with_the_months_last_measurement(
    room: CouncilRoom, ops: WatchedDatabase
) -> None:
    """Over all tenants, of this month only, and not set back by an older measurement."""
    room.limit(1, "platform")
    room.owner.execute(f"""
        INSERT INTO budgets (payer, period, spent_usd) VALUES
        ('platform:tenant-2', {THIS_MONTH}, 1), ('platform:tenant-3', {THIS_MONTH} - interval '1 month', 7)""")
    record_platform_month(ops, DEADLINE_S)
    assert room.row("SELECT spent_usd FROM platform_months") == {"spent_usd": 1}
    room.owner.execute("DELETE FROM budgets; UPDATE platform_months SET measured_at = now() + interval '1 hour'")
    record_platform_month(ops, DEADLINE_S)
    turn = body(room.take("hello", mode="orchestrator"))
    assert turn["plan"]["source"] == "fallback"
    room.owner.execute("UPDATE platform_months SET period = period - interval '1 month'")
    room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
    assert body(take(room, mode="orchestrator"))["plan"]["source"] == "routing"


class TestWithTheReleaseBefore:
    """It counts the platform's share of all tenants in one row, and writes settlements beside rows that are locked."""

    def test_what_it_held_for_a_helper_is_released_and_adds_up(self, room: CouncilRoom) -> None:
        def killed(_: Request) -> Any:
            raise Killed

        room.provider.enqueue(killed)
        turn_id = room.take_until_killed("hello", mode="orchestrator")
        room.owner.execute("UPDATE budgets SET payer = 'platform' WHERE payer LIKE 'platform:%'")
        room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
        assert body(room.resume(turn_id))["status"] == "completed"
        sums = "SELECT sum(held_usd) AS held, sum(spent_usd) AS spent FROM budgets WHERE payer LIKE 'platform%%'"
        assert room.row(sums) == {"held": 0, "spent": FAST_COST}

    def test_its_settlements_are_read_and_counted_in_once(self, room: CouncilRoom, ops: WatchedDatabase) -> None:
        take(room)
        spent = load_budget(room.db, room.tenant_id).spent_usd
        room.owner.execute(f"""
            UPDATE budgets SET spent_usd = 0;
            INSERT INTO budgets (payer, period, spent_usd) VALUES ('platform', {THIS_MONTH}, 0);
            INSERT INTO budget_settlements (payer, period, held_usd, spent_usd)
            VALUES ('tenant:tenant-1', {THIS_MONTH}, 0, {spent}), ('platform', {THIS_MONTH}, 0, 1)""")
        assert load_budget(room.db, room.tenant_id).spent_usd == spent
        assert load_platform_budget(ops).spent_usd == 1
        for _ in range(2):
            count_in_settled(ops, DEADLINE_S)
        assert room.rows("SELECT * FROM budget_settlements") == []
        assert room.budget("tenant:tenant-1") == {"held_usd": 0, "spent_usd": spent}
        assert load_platform_budget(ops).spent_usd == 1
        room.owner.execute("DELETE FROM budgets WHERE payer = 'platform'")

    def test_a_settlement_of_a_locked_row_is_left_for_the_next_minute(
        self, room: CouncilRoom, ops: WatchedDatabase
    ) -> None:
        take(room)
        room.owner.execute(f"""
            INSERT INTO budget_settlements (payer, period, held_usd, spent_usd)
            VALUES ('tenant:tenant-1', {THIS_MONTH}, 0, 1)""")
        with room.months_taken() as locker:
            count_in_settled(ops, DEADLINE_S)
            assert locker.execute("SELECT FROM budget_settlements FOR UPDATE NOWAIT").rowcount == 1
        count_in_settled(ops, DEADLINE_S)
        assert room.rows("SELECT * FROM budget_settlements") == []
        room.owner.execute("UPDATE budgets SET spent_usd = spent_usd - 1")


def test_helpers_that_the_tenant_pays_for_hold_on_its_row(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.HELPER_PAYER, "tenant")
    settings.cache_clear()
    room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
    room.take("hello", mode="orchestrator")
    assert room.rows("SELECT payer FROM budgets") == [{"payer": "tenant:tenant-1"}]


def test_the_release_before_reads_the_share_of_every_tenant_in_the_platforms_month(room: CouncilRoom) -> None:
    """Its invariants and its dashboard compare this month with the whole ledger."""
    room.owner.execute("INSERT INTO budgets SELECT payer, '2026-11-01', 1, 2 FROM unnest(%s::text[]) payer", (PAYERS,))
    room.owner.execute(
        "INSERT INTO budget_settlements (payer, period, held_usd, spent_usd) VALUES ('platform', '2026-11-01', -1, 8)"
    )
    months = "SELECT payer, held_usd, spent_usd FROM {} WHERE period = '2026-11-01' ORDER BY payer"
    as_before = [tuple(row.values()) for row in room.rows(months.format("budget_months"))]
    assert as_before == [("platform", 2, 14), ("tenant:a", 1, 2)]
    now = [tuple(row.values()) for row in room.rows(months.format("payer_months"))]
    assert now == [("platform", 0, 10), ("platform:a", 1, 2), ("platform:b", 1, 2), ("tenant:a", 1, 2)]
    room.owner.execute("DELETE FROM budget_settlements")
    room.owner.execute("DELETE FROM budgets WHERE period = '2026-11-01'")
