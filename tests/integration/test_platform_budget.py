"""Tests the platform's own budget in whole turns: once it is spent, tenants pay for routing, summaries and failures."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.db.api.budgets import record_platform_month
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import FAST_COST, CouncilRoom, answer, body
from tests.support.watched_database import WatchedDatabase

ROUTED = answer('{"selected_agent_keys": ["critic"], "reason": "It knows."}')
# This length makes a summary due after the first turn.
LONG = "hello " * 200


@pytest.fixture
def take(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Take a turn with a manager and a summary, in a session of its own."""
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "100")
    settings.cache_clear()
    return lambda: body(room.take(LONG, session_id=room.make_session(), mode="orchestrator"))


def fallbacks(turn: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["component"], each["reason"]) for each in turn["fallbacks"]]


def test_tenant_pays_for_helpers_while_the_platforms_limit_is_zero(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    room.limit(0, "platform")
    room.provider.enqueue(ROUTED)
    turn = take()
    assert (turn["status"], turn["plan"]["source"], turn["summary_triggered"]) == ("completed", "routing", True)
    assert set(room.accounts()) == {"tenant"}
    assert room.budget("platform") is None


def test_helper_without_room_is_a_fallback_while_the_platforms_limit_is_zero(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    room.limit(0, "platform")
    room.take("@critic " + LONG, session_id=room.make_session())
    room.take("@researcher " + LONG, session_id=room.make_session())
    room.limit_to(f"spent_usd + {max(reserve for (reserve,) in room.calls('reserve_usd'))}")
    turn = take()
    assert (turn["status"], turn["plan"]["source"]) == ("completed", "fallback")
    assert [reply["status"] for reply in turn["replies"]] == ["completed"]
    assert fallbacks(turn)[0] == ("routing", "budget_exceeded")
    assert room.budget("platform") is None


def test_tenant_pays_for_failed_attempts_while_the_platforms_limit_is_spent(
    room: CouncilRoom, ops: WatchedDatabase
) -> None:
    """The limit is compared with the last measurement."""
    room.limit(FAST_COST / 2, "platform")
    for platform_usd in (FAST_COST, 0):
        room.provider.enqueue(answer(""), answer("Roses."))
        turn = body(room.take("@writer hello", session_id=room.make_session()))
        assert (turn["output"], Decimal(turn["platform_cost_usd"])) == ("Roses.", platform_usd)
        assert Decimal(turn["cost_usd"]) == 2 * FAST_COST - platform_usd
        record_platform_month(ops, 60.0)
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": FAST_COST}


def test_a_limit_that_is_raised_lets_the_platform_bear_helpers_again(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    for limit, account in ((0, "tenant"), (1, "platform")):
        room.limit(limit, "platform")
        room.provider.enqueue(ROUTED)
        turn = take()
        assert (turn["plan"]["source"], turn["summary_triggered"]) == ("routing", True)
        routing = "SELECT account FROM usage_ledger WHERE purpose = 'routing' ORDER BY id DESC LIMIT 1"
        assert room.row(routing) == {"account": account}
