"""Tests setting limits while others hold, spend or set them, each on a connection of its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from shared.db.api import budgets
from shared.db.engine import Database
from shared.db.protocol import ACCEPT
from shared.errors import AboveCap, BudgetExceeded
from shared.llm.port import Request
from shared.names import Role
from shared.settings import budget_settings
from tests.support.council_room import FAST_COST, CouncilRoom, DatabaseUrls, answer
from tests.support.other_process import OtherProcess
from tests.support.watched_database import transaction

ONE, TWO = Decimal(1), Decimal(2)


@pytest.fixture
def operator(database_urls: DatabaseUrls) -> Iterator[Database]:
    db = Database(database_urls.of(Role.OPERATOR))
    yield db
    db.close()


def test_two_limits_set_at_once_are_both_answered_and_one_stays(room: CouncilRoom, other: OtherProcess) -> None:
    other.comes_second(budgets._SET_LIMIT, lambda: budgets.record_limit(other.db, room.tenant_id, TWO))
    assert budgets.record_limit(room.db, room.tenant_id, ONE).limit_usd == ONE
    assert other.result().limit_usd == TWO
    assert budgets.load_budget(room.db, room.tenant_id).binding_usd == TWO


def test_a_limit_that_waits_for_a_cap_is_held_against_it(
    room: CouncilRoom, other: OtherProcess, operator: Database
) -> None:
    """The operator is inserting the first row, so the administrator's snapshot has no cap."""
    with ThreadPoolExecutor() as pool, transaction(operator, room.tenant_id) as execute:
        execute(budgets._SET_CAP, {"b_payer": f"tenant:{room.tenant_id}", "b_usd": ONE}, lambda _: None)
        waiting = pool.submit(budgets.record_limit, other.db, room.tenant_id, TWO)
        room.wait_until_blocked()
    with pytest.raises(AboveCap):
        waiting.result()
    assert budgets.load_budget(room.db, room.tenant_id).limit_usd is None


def test_a_limit_is_set_while_a_hold_is_not_yet_committed_and_binds_the_next(
    room: CouncilRoom, other: OtherProcess
) -> None:
    """The two do not block each other: the limit is not in the row that counts holds."""
    room.db.hold(ACCEPT, lambda: budgets.record_limit(other.db, room.tenant_id, Decimal(0)))
    assert room.take("@writer hello").published
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello")


def test_a_cap_is_lowered_under_a_running_turn(room: CouncilRoom, operator: Database) -> None:
    def lower(_: Request) -> str:
        cap = budgets.record_caps(operator, room.tenant_id, {"tenant": Decimal(0)})
        assert (cap.held_usd,) == room.calls("reserve_usd")[0]
        return "Roses."

    budgets.record_limit(room.db, room.tenant_id, TWO)
    room.provider.enqueue(lower)
    assert room.take("@writer @critic hello").published
    assert [purpose for (purpose,) in room.calls("purpose")] == ["agent"]
    assert budgets.load_budget(room.db, room.tenant_id).binding_usd == 0


def test_the_operator_sees_any_payer_and_sets_the_platforms_limit(room: CouncilRoom, operator: Database) -> None:
    room.take("@writer hello")
    shown = budgets.load_budget(operator, room.tenant_id)
    assert shown == budgets.load_budget(room.db, room.tenant_id)
    assert shown.spent_usd > 0
    assert budgets.record_platform_limit(operator, ONE).limit_usd == ONE
    assert room.rows("SELECT * FROM budget_limits") == [{"payer": "platform", "limit_usd": ONE, "cap_usd": None}]


def test_month_belongs_to_its_payer_and_to_the_clocks_month(room: CouncilRoom, operator: Database) -> None:
    room.take("@writer hello")
    for table in ("llm_calls", "usage_ledger", "budgets"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    other.provider.enqueue(answer())
    with other.databases:
        other.take("@writer hello")
    budgets.record_caps(operator, "tenant-2", {"tenant": ONE})
    mine, theirs = (budgets.load_budget(operator, tenant) for tenant in ("tenant-1", "tenant-2"))
    assert [mine.binding_usd, mine.held_usd, mine.spent_usd] == [budget_settings().default_cap_usd, 0, 0]
    assert [theirs.binding_usd, theirs.held_usd, theirs.spent_usd] == [ONE, 0, FAST_COST]
    assert (mine.period.day, mine.period) == (1, theirs.period)


def test_limit_is_at_most_the_cap_or_removed(room: CouncilRoom, operator: Database) -> None:
    budgets.record_caps(operator, room.tenant_id, {"tenant": ONE})
    for usd in (ONE, None, Decimal(0)):
        assert budgets.record_limit(room.db, room.tenant_id, usd).limit_usd == usd
    with pytest.raises(AboveCap) as refused:
        budgets.record_limit(room.db, room.tenant_id, ONE + Decimal("0.000001"))
    assert refused.value.extra == {"cap_usd": "1"}
    assert budgets.load_budget(room.db, room.tenant_id).limit_usd == 0
    assert budgets.record_caps(operator, room.tenant_id, {"tenant": None}).binding_usd == 0
    assert budgets.record_limit(room.db, room.tenant_id, TWO).binding_usd == TWO
