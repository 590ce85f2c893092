"""Tests the one exact row of a payer's month: a hold, a release or a post locks it, and payers never block each
other.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from shared.db.api.budgets import load_budget, record_platform_month
from shared.db.protocol import ACCEPT, OPEN, PUBLISH
from shared.errors import BudgetExceeded
from shared.names import Env
from shared.settings import budget_settings
from tests.support.council_room import DEADLINE_S, FAST_COST, CouncilRoom, answer, body
from tests.support.other_process import OtherProcess
from tests.support.watched_database import WatchedDatabase

THIS_MONTH = "date_trunc('month', timezone('UTC', now()))::date"


@pytest.fixture
def small_defaults(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Defaults of a tenant and of the platform that cover no call."""
    monkeypatch.setenv(Env.DEFAULT_CAP_USD, "0.0000001")
    monkeypatch.setenv(Env.PLATFORM_ALLOWANCE_USD, "0.0000001")
    budget_settings.cache_clear()
    yield
    budget_settings.cache_clear()


def take(room: CouncilRoom, message: str = "@writer hello", **request: Any) -> Any:
    return room.take(message, session_id=room.make_session(), **request)


def adds_up(room: CouncilRoom, *, turns: int) -> bool:
    """Return whether nothing is held, and the spent amount is that of this number of turns."""
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
    """The second finds no row, and waits for the uncommitted row of the first. The platform's share has the
    same test.
    """
    room.provider.enqueue(answer(""), answer())
    other.provider.enqueue(answer(""), answer())
    other.comes_second(ACCEPT, partial(other.take, "@writer hello", session_id=room.make_session()))
    take(room)
    assert other.result().published
    assert adds_up(room, turns=2)
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": 2 * FAST_COST}


# The holds of three calls, moved to three months.
_MONTHS = """
    UPDATE llm_calls SET period = period - interval '1 month' * ((step + 1) % 3);
    DELETE FROM budgets;
    INSERT INTO budgets (payer, period, held_usd) SELECT payer, period, sum(reserve_usd) FROM llm_calls GROUP BY 1, 2
      UNION ALL SELECT DISTINCT 'platform:' || tenant_id, period, 0 FROM llm_calls"""


def test_months_are_locked_in_one_order(room: CouncilRoom, other: OtherProcess) -> None:
    """The platform's month is locked before the tenant's, and older months first.

    Another transaction locks all rows and releases them in that order: the publish waits for each of them in turn.
    """
    order = "SELECT payer, period FROM budgets ORDER BY payer, period"
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
            lockers[row["payer"], row["period"]] = connection = psycopg.connect(room.owner_url)
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
    """Return whether a connection waits for the transaction that locked this row."""
    pid = lockers[row["payer"], row["period"]].info.backend_pid
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    return any(room.row(query, pid)["n"] for _ in range(2000))


def test_months_of_two_tenants_never_block_each_other(room: CouncilRoom) -> None:
    """They do not block each other even if the platform pays for both."""
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


def routed_by(room: CouncilRoom) -> str:
    """Return the payer of a manager's newest call."""
    return str(room.row("SELECT payer FROM llm_calls WHERE purpose = 'routing' ORDER BY call_id DESC LIMIT 1")["payer"])


@pytest.mark.usefixtures("small_defaults")
def test_the_platform_bears_no_helper_beyond_its_allowance_for_a_tenant(room: CouncilRoom) -> None:
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-1', 1)")
    for allowance, payer in ((None, "tenant:tenant-1"), (1, "platform")):
        if allowance:
            room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('platform:tenant-1', 1)")
        room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
        assert body(take(room, mode="orchestrator"))["plan"]["source"] == "routing"
        assert routed_by(room) == payer


def test_the_platforms_limit_is_compared_with_the_months_last_measurement(
    room: CouncilRoom, ops: WatchedDatabase
) -> None:
    """The measurement covers all tenants and this month only. An older measurement does not replace it."""
    room.limit(1, "platform")
    room.owner.execute(f"""
        INSERT INTO budgets (payer, period, spent_usd) VALUES
        ('platform:tenant-2', {THIS_MONTH}, 1), ('platform:tenant-3', {THIS_MONTH} - interval '1 month', 7)""")
    record_platform_month(ops, DEADLINE_S)
    assert room.row("SELECT spent_usd FROM platform_months") == {"spent_usd": 1}
    room.owner.execute("DELETE FROM budgets; UPDATE platform_months SET measured_at = now() + interval '1 hour'")
    record_platform_month(ops, DEADLINE_S)
    for payer in ("tenant:tenant-1", "platform"):
        room.provider.enqueue(answer('{"selected_agent_keys": ["critic"]}'))
        take(room, mode="orchestrator")
        assert routed_by(room) == payer
        room.owner.execute("UPDATE platform_months SET period = period - interval '1 month'")


def test_the_release_before_reads_a_month_without_the_holds_that_it_does_not_know(room: CouncilRoom) -> None:
    """That release's invariants compare this month with the reserves of open calls."""
    room.take("@writer hello", later=True)
    held = "SELECT held_usd FROM {} WHERE payer = 'tenant:tenant-1'"
    assert room.row(held.format("budgets"))["held_usd"] > 0
    assert room.row(held.format("payer_months"))["held_usd"] == 0
    room.resume(room.row("SELECT id FROM turns")["id"])
