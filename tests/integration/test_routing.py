"""Tests a turn that a routing manager plans: its call is journaled, is no reply, and is paid by the platform."""

import json
from decimal import Decimal

import pytest

from shared.db.api.history import record_cancel
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, Request
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import (
    DEEP_COST,
    FAST_COST,
    CouncilRoom,
    Killed,
    answer,
    body,
    names,
    prompt,
    unbilled,
    unknown,
)
from tests.support.quoted import quoted

ROUTED = answer(json.dumps({"selected_agent_keys": ["researcher", "writer"]}))
ROSES, VIOLETS = answer("Roses."), answer("Violets.")


def die(_: Request) -> str:
    raise Killed


def test_the_managers_call_is_the_platforms_and_the_replies_are_the_tenants(room: CouncilRoom) -> None:
    room.provider.enqueue(ROUTED, ROSES, VIOLETS)
    turn = body(room.take("hello", mode="orchestrator"))
    assert turn["plan"] == {"selected_agent_keys": ["researcher", "writer"], "source": "routing", "unknown_tags": []}
    assert turn["output"] == "Researcher: Roses.\n\nWriter: Violets."
    assert (Decimal(turn["cost_usd"]), Decimal(turn["platform_cost_usd"])) == (DEEP_COST + FAST_COST, FAST_COST)
    assert room.calls("step, purpose, payer, verdict") == [
        (0, "routing", "platform", "reply"),
        (1, "agent", "tenant:tenant-1", "reply"),
        (2, "agent", "tenant:tenant-1", "reply"),
    ]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_the_manager_and_how_many_it_may_choose_are_the_deployments(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    for name, value in ((Env.ROUTING_ALIAS, "deep"), (Env.ROUTING_MAX_TOKENS, "128"), (Env.ROUTING_MAX_AGENTS, "1")):
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    room.provider.enqueue(ROUTED, ROSES, VIOLETS)
    outcome = room.take("hello", mode="orchestrator", later=later)
    turn = body(room.resume(outcome.turn_id) if later else outcome)
    manager = room.provider.requests[0]
    assert (manager.model.alias, manager.max_output_tokens) == ("deep", 128)
    assert len(turn["replies"]) == 1


def test_third_routed_agent_hears_only_the_first_when_the_second_fails(room: CouncilRoom) -> None:
    """`researcher` is tried twice, and then its alias's fallback once."""
    routed = answer(json.dumps({"selected_agent_keys": ["writer", "researcher", "critic"]}))
    room.provider.enqueue(routed, ROSES, unknown("provider_error"), unknown("timeout"), unbilled("refused"), VIOLETS)
    turn = body(room.take("hello", mode="orchestrator"))
    assert turn["status"] == "completed"
    assert names(turn["replies"]) == [
        ("writer", "completed", None),
        ("researcher", "failed", "refused"),
        ("critic", "completed", None),
    ]
    assert turn["output"] == "Writer: Roses.\n\nCritic: Violets."
    stored = room.rows("SELECT agent_key, status, text, error_code FROM replies ORDER BY position")
    assert [tuple(row.values()) for row in stored] == [
        ("writer", "completed", "Roses.", None),
        ("researcher", "failed", None, "refused"),
        ("critic", "completed", "Violets.", None),
    ]
    heard = prompt(room.provider.requests[-1])
    assert "You are the critic." in heard
    assert quoted("Writer", "Roses.") in heard
    failure = turn["replies"][1]["error"]
    assert not any(word in heard for word in ("esearcher", failure["code"], failure["detail"], "timeout", "error"))
    posts = room.rows("SELECT step, attempt, agent_key, model_alias, account FROM usage_ledger ORDER BY step, attempt")
    assert [tuple(post.values()) for post in posts] == [
        (0, 1, None, "fast", "platform"),
        (1, 1, "writer", "fast", "tenant"),
        (2, 1, "researcher", "deep", "suspense"),
        (2, 2, "researcher", "deep", "suspense"),
        (2, 3, "researcher", "fast", "platform"),
        (3, 1, "critic", "fast", "tenant"),
    ]


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_resumed_turn_asks_the_manager_only_if_it_did_not_answer(room: CouncilRoom, answered: int) -> None:
    script = [ROUTED, ROSES, VIOLETS]
    room.provider.enqueue(*script[:answered], die, *script[answered:])
    turn = body(room.resume(room.take_until_killed("hello", mode="orchestrator")))
    assert turn["output"] == "Researcher: Roses.\n\nWriter: Violets."
    assert len(room.provider.requests) == 4


@pytest.mark.parametrize(("answered", "deaths"), [(0, 3), (1, 4), (2, 4)])
def test_a_routed_turn_that_is_given_up_keeps_its_replies_and_shows_none_of_the_managers_words(
    room: CouncilRoom, answered: int, deaths: int
) -> None:
    room.provider.enqueue(*[ROUTED, ROSES][:answered], *[die] * deaths)
    turn_id = room.take_until_killed("hello", mode="orchestrator")
    for _ in range(deaths - 1):
        with pytest.raises(Killed):
            room.resume(turn_id)
        room.expire_lease()
    turn = body(room.resume(turn_id))
    skipped = [(key, "skipped", "turn_abandoned") for key in ("researcher", "writer")]
    expected = {0: [], 1: skipped, 2: [("researcher", "completed", None), skipped[1]]}
    assert (turn["error"]["code"], names(turn["replies"])) == ("turn_abandoned", expected[answered])
    assert "selected_agent_keys" not in turn["output"]
    assert len(room.provider.requests) == answered + deaths


def test_a_cancel_while_the_manager_thinks_ends_the_turn_with_its_plan(room: CouncilRoom) -> None:
    def cancel(_: Request) -> Completion:
        record_cancel(room.open_database(), room.actor, room.row("SELECT id FROM turns")["id"])
        return ROUTED

    room.provider.enqueue(cancel)
    turn = body(room.take("hello", mode="orchestrator"))
    assert (turn["status"], len(room.provider.requests), room.accounts()) == ("cancelled", 1, {"platform": FAST_COST})
    assert names(turn["replies"]) == [(key, "skipped", "cancelled") for key in ("researcher", "writer")]


def test_the_manager_is_the_tenants_while_the_platforms_budget_is_spent(room: CouncilRoom) -> None:
    room.limit(0, "platform")
    room.provider.enqueue(ROUTED, ROSES, VIOLETS)
    turn = body(room.take("hello", mode="orchestrator"))
    paid = FAST_COST + DEEP_COST + FAST_COST
    assert (Decimal(turn["cost_usd"]), Decimal(turn["platform_cost_usd"])) == (paid, Decimal(0))
    assert room.accounts() == {"tenant": paid}
    assert {payer for (payer,) in room.calls("payer")} == {"tenant:tenant-1"}


def without_room_for_a_manager(room: CouncilRoom) -> None:
    """The tenant's budget covers the most expensive agent, and the platform's covers nothing."""
    room.limit(0, "platform")
    room.take("@researcher hello", session_id=room.make_session())
    (reserve,) = room.calls("reserve_usd")[-1]
    room.limit_to(f"spent_usd + {reserve}")
    room.provider.requests.clear()


def test_a_manager_without_room_is_a_fallback_and_no_402(room: CouncilRoom) -> None:
    without_room_for_a_manager(room)
    turn = body(room.take("@critic hello", mode="orchestrator"))
    assert (turn["plan"]["selected_agent_keys"], turn["plan"]["source"]) == (["critic"], "fallback")
    assert [fallback["component"] for fallback in turn["fallbacks"]] == ["routing"]
    assert [reply["status"] for reply in turn["replies"]] == ["completed"]
    assert room.calls("purpose") == [("agent",), ("agent",)]


def test_a_spent_tenants_budget_stops_the_turn_before_the_manager(room: CouncilRoom) -> None:
    room.limit(0)
    with pytest.raises(BudgetExceeded):
        room.take("hello", mode="orchestrator")
    assert room.provider.requests == []
    assert room.rows("SELECT id FROM turns UNION ALL SELECT call_id FROM llm_calls") == []


def test_a_tenants_budget_that_runs_out_after_the_manager_skips_the_plan(room: CouncilRoom) -> None:
    def spend_the_rest(_: Request) -> Completion:
        room.limit(0)
        return ROUTED

    room.provider.enqueue(spend_the_rest)
    turn = body(room.take("hello", mode="orchestrator"))
    assert names(turn["replies"]) == [(key, "skipped", "budget_exceeded") for key in ("researcher", "writer")]
    assert (turn["status"], room.accounts()) == ("failed", {"platform": FAST_COST})


def test_a_turn_whose_manager_was_refused_is_resumed_with_the_fallbacks_plan(room: CouncilRoom) -> None:
    """The journal has no row of a manager that the budget refused, and the resumed turn asks for none."""
    without_room_for_a_manager(room)
    room.provider.enqueue(die, ROSES)
    turn_id = room.take_until_killed("@critic hello", mode="orchestrator")
    room.limit(1)
    turn = body(room.resume(turn_id))
    assert (turn["status"], turn["output"], turn["plan"]["source"]) == ("completed", "Roses.", "fallback")
    assert [(each["component"], each["reason"]) for each in turn["fallbacks"]] == [("routing", "budget_exceeded")]
    assert room.row("SELECT expired_claims FROM turns WHERE expired_claims > 0") == {"expired_claims": 1}
