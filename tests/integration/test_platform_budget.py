"""The platform's own budget, through whole turns: it stops routing and summaries, never a turn, and what crashes cost
counts against it without being held."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.names import Env
from shared.operations.costs import measure_platform
from shared.settings import settings
from tests.council_room import FAST_COST, CouncilRoom, answer, body
from tests.watched_database import WatchedDatabase

ROUTED = answer('{"selected_agent_keys": ["critic"], "reason": "It knows."}')
# Enough for a summary to be due after the first turn.
LONG = "hello " * 200


@pytest.fixture
def take(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Take a turn that wants a manager and a summary, in a session of its own."""
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "100")
    settings.cache_clear()
    return lambda: body(room.take(LONG, session_id=room.make_session(), mode="orchestrator"))


def helpers(room: CouncilRoom) -> list[str]:
    """What the calls were for, but for the agents'."""
    return [purpose for (purpose,) in room.calls("purpose") if purpose != "agent"]


def fallbacks(turn: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["component"], each["reason"]) for each in turn["fallbacks"]]


def test_with_nothing_left_turns_route_by_their_rules_and_do_without_a_summary(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    room.limit(0, "platform")
    turn = take()
    assert (turn["status"], turn["plan"]["source"]) == ("completed", "fallback")
    assert [reply["status"] for reply in turn["replies"]] == ["completed"]
    assert fallbacks(turn)[0] == ("routing", "budget_exceeded")
    assert ("summary_text", "budget_exceeded") in fallbacks(turn)
    assert helpers(room) == []
    assert room.budget("platform") is None


def test_what_crashes_cost_is_not_refused_and_counts(
    room: CouncilRoom, take: Callable[[], dict[str, Any]], ops: WatchedDatabase
) -> None:
    """The limit is compared with the last measurement, and refuses helpers only."""
    room.limit(FAST_COST / 2, "platform")
    room.provider.enqueue(answer(""), answer("Roses."))
    assert body(room.take("@writer hello"))["output"] == "Roses."
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": FAST_COST}
    measure_platform(ops)
    turn = take()
    assert (turn["status"], turn["plan"]["source"], helpers(room)) == ("completed", "fallback", [])
    # And another such cost is borne all the same.
    room.provider.enqueue(answer(""), answer("Violets."))
    assert body(room.take("@writer hello", session_id=room.make_session()))["output"] == "Violets."
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": 2 * FAST_COST}


def test_a_limit_that_is_raised_lets_helpers_be_asked_again(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    room.limit(0, "platform")
    take()
    room.limit(1, "platform")
    room.provider.enqueue(ROUTED)
    turn = take()
    assert (turn["plan"]["source"], turn["summary_triggered"]) == ("routing", True)
    assert helpers(room).count("routing") == 1


def test_a_manager_that_was_affordable_leaves_a_summary_that_is_not(
    room: CouncilRoom, take: Callable[[], dict[str, Any]]
) -> None:
    def switch_off(_: object) -> Any:
        room.limit(0, "platform")
        return answer("Roses.")

    room.provider.enqueue(ROUTED, switch_off)
    turn = take()
    assert (turn["status"], turn["plan"]["source"], turn["output"]) == ("completed", "routing", "Roses.")
    assert ("summary_text", "budget_exceeded") in fallbacks(turn)
    assert helpers(room) == ["routing"]


def test_helpers_that_the_tenant_pays_for_do_not_ask_the_platform(
    room: CouncilRoom, take: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Env.HELPER_PAYER, "tenant")
    settings.cache_clear()
    room.limit(0, "platform")
    room.provider.enqueue(ROUTED)
    assert take()["plan"]["source"] == "routing"
    assert set(room.accounts()) == {"tenant"}
