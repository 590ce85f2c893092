"""Tests that an unknown outcome's reserve is drawn from the allowance, or held by the tenant until it is settled."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest

from shared.db.api.budgets import load_budget
from shared.db.engine import Database
from shared.db.protocol import RECONCILE
from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.reconcile import reconcile
from shared.settings import budget_settings
from tests.support.council_room import CouncilRoom, answer, body, unknown
from tests.support.other_process import OtherProcess
from tests.support.watched_database import WatchedDatabase

USAGE = Usage(input_tokens=60, output_tokens=100)
COST = Decimal("0.000046")
TENANT, PLATFORM = "tenant:tenant-1", "platform:tenant-1"


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    budget_settings.cache_clear()
    yield
    budget_settings.cache_clear()


def allow(room: CouncilRoom, usd: object) -> None:
    room.owner.execute(
        "INSERT INTO budget_limits (payer, cap_usd) VALUES (%s, %s) ON CONFLICT (payer) DO UPDATE SET cap_usd = %s",
        (PLATFORM, usd, usd),
    )


def lose_calls(room: CouncilRoom) -> tuple[list[UUID], Decimal]:
    """Take a turn whose two attempts have unknown outcomes. Returns the calls and their reserves."""
    room.provider.enqueue(unknown(), unknown())
    turn = body(room.take("@writer hello", session_id=room.make_session()))
    assert (turn["status"], turn["cost_usd"], turn["platform_cost_usd"]) == ("failed", "0", "0")
    rows = room.rows("SELECT call_id, reserve_usd FROM llm_calls WHERE status = 'unknown' ORDER BY step, attempt")
    return [row["call_id"] for row in rows], sum((row["reserve_usd"] for row in rows), Decimal(0))


def billed(call_id: UUID, usage: Usage = USAGE) -> ProviderRecord:
    return ProviderRecord(call_id, billed=True, usage=usage)


def test_a_reserve_is_drawn_from_the_allowance_while_it_fits(room: CouncilRoom) -> None:
    _, reserved = lose_calls(room)
    budget = load_budget(room.db, room.tenant_id)
    assert budget.allowance is not None
    assert [budget.allowance.drawn_usd, budget.allowance.held_usd] == [reserved, 0]
    assert [budget.held_usd, budget.spent_usd] == [0, 0]


def test_a_reserve_beyond_the_allowance_stays_held_by_the_tenant(room: CouncilRoom) -> None:
    allow(room, 0)
    _, reserved = lose_calls(room)
    budget = load_budget(room.db, room.tenant_id)
    assert budget.allowance is not None
    assert [budget.held_usd, budget.spent_usd, budget.allowance.drawn_usd] == [reserved, 0, 0]
    assert room.accounts() == {"suspense": reserved}


def test_a_held_reserve_counts_against_the_tenants_limit(room: CouncilRoom) -> None:
    """Otherwise a tenant could let any number of calls time out."""
    allow(room, 0)
    _, reserved = lose_calls(room)
    room.limit(reserved)
    room.provider.enqueue(answer())
    with pytest.raises(Exception, match="budget does not cover"):
        room.take("@writer hello")


@pytest.mark.parametrize(
    ("allowance", "account"), [(0, "tenant"), (COST, "platform")], ids=["without room", "with room"]
)
def test_a_settled_call_is_the_platforms_if_its_cost_fits_and_else_the_tenants(
    room: CouncilRoom, ops: Database, allowance: Decimal, account: str
) -> None:
    allow(room, 0)
    (first, second), reserved = lose_calls(room)
    allow(room, allowance)
    reconcile(ops, [billed(first)])
    assert room.accounts() == {"suspense": reserved / 2, account: COST}
    reasons = room.rows("SELECT DISTINCT reason FROM usage_ledger")
    assert reasons == [{"reason": "unknown_outcome"}]
    month = room.budget(TENANT)
    assert month == {"held_usd": reserved / 2, "spent_usd": COST if account == "tenant" else 0}
    reconcile(ops, [billed(second, Usage())])
    assert room.budget(TENANT) == {"held_usd": 0, "spent_usd": month["spent_usd"]}
    assert room.rows("SELECT * FROM budget_holds") == []


def test_a_settled_call_that_the_platform_bore_stays_its_own(room: CouncilRoom, ops: Database) -> None:
    """It stays so even if the allowance was removed since."""
    (first, _), reserved = lose_calls(room)
    allow(room, 0)
    reconcile(ops, [billed(first)])
    assert room.accounts() == {"suspense": reserved / 2, "platform": COST}
    assert room.budget("platform") == {"held_usd": reserved / 2, "spent_usd": COST}


def test_a_settled_call_of_the_release_before_is_the_platforms(room: CouncilRoom, ops: Database) -> None:
    """That release held nothing after publish, and showed the tenant no cost for an unknown outcome."""
    allow(room, 0)
    (first, _), reserved = lose_calls(room)
    room.owner.execute("DELETE FROM budget_holds; UPDATE usage_ledger SET reason = NULL")
    room.owner.execute("UPDATE budgets SET held_usd = 0 WHERE payer = %s", (TENANT,))
    reconcile(ops, [billed(first)])
    assert room.accounts() == {"suspense": reserved / 2, "platform": COST}
    assert room.budget(TENANT) == {"held_usd": 0, "spent_usd": 0}


def test_a_stored_turn_stays_as_it_is_when_its_call_is_settled(room: CouncilRoom, ops: Database) -> None:
    allow(room, 0)
    (first, _), _ = lose_calls(room)
    before = room.rows("SELECT response FROM turns")
    reconcile(ops, [billed(first)])
    assert room.rows("SELECT response FROM turns") == before


def test_two_settlements_at_once_share_the_allowance(
    room: CouncilRoom, ops: WatchedDatabase, ops_url: str, other: OtherProcess
) -> None:
    allow(room, 0)
    (first, second), _ = lose_calls(room)
    allow(room, COST)
    later = room.open_database(ops_url)
    other.comes_second(RECONCILE, lambda: reconcile(later, [billed(second)]), first=ops)
    reconcile(ops, [billed(first)])
    other.result()
    assert room.accounts() == {"suspense": 0, "platform": COST, "tenant": COST}


def test_a_new_month_begins_without_the_holds_of_the_last(room: CouncilRoom) -> None:
    allow(room, 0)
    lose_calls(room)
    for table in ("llm_calls", "usage_ledger", "budgets", "budget_holds"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
    budget = load_budget(room.db, room.tenant_id)
    assert budget.allowance is not None
    assert [budget.held_usd, budget.allowance.drawn_usd] == [0, 0]
