"""Tests the operator's usage of all tenants: the payments of each, and the reasons of the platform's share."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from functions.admin import usage
from functions.http import create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.engine import operator_database
from shared.names import API_PREFIX, Env, Role
from shared.settings import operator_settings, settings
from tests.support.council_room import DEEP_COST, FAST_COST, CouncilRoom, DatabaseUrls, answer, body, unknown
from tests.support.gateway import body_of, problem_of, request
from tests.support.ledger_rows import entry, hours_ago, insert

ROUTED = answer(json.dumps({"selected_agent_keys": ["writer", "researcher"]}))
MEMORY = answer(json.dumps({"add": {}, "replace": [], "close": []}))
GROUPS = ["day", "tenant_id", "session_id", "agent_key", "model_alias", "purpose", "account", "reason"]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(room: CouncilRoom, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """GET /admin/usage with a query, without the check of roles, which is the application's."""
    monkeypatch.setenv(Env.OPERATOR_DATABASE_URL, database_urls.of(Role.OPERATOR))
    app = create_app("Pantheon operations")
    app.include_router(usage.router)
    handler = lambda_handler(app)

    def asked(query: str = "") -> dict[str, Any]:
        context = LambdaContext("admin", "invocation", 1e12)
        return handler(request("GET", f"{API_PREFIX}/admin/usage", query=query), context)

    for known in (operator_settings, operator_database):
        known.cache_clear()
    yield asked
    operator_database().close()
    for known in (operator_settings, operator_database):
        known.cache_clear()


@pytest.fixture
def other(room: CouncilRoom) -> Iterator[CouncilRoom]:
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        yield other


@pytest.fixture
def turns(room: CouncilRoom, other: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Turns by tenant: a routed turn with an empty attempt and a summary, and one with a call of unknown outcome."""
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "100")
    settings.cache_clear()
    room.provider.enqueue(ROUTED, answer(""), answer("Roses."), answer("Violets."), answer("A summary."), MEMORY)
    long = "What grows here? " * 40
    first = body(room.take(long, mode="orchestrator"))
    other.provider.enqueue(unknown(), answer("Lilies."))
    return {"tenant-1": first, "tenant-2": body(other.take("@writer hello"))}


def test_tenants_cost_equals_that_of_its_turns(ask: Ask, turns: dict[str, dict[str, Any]]) -> None:
    items = {item["tenant_id"]: item for item in body_of(ask("group_by=tenant_id"))["items"]}
    assert items.keys() == turns.keys()
    for tenant_id, turn in turns.items():
        assert (items[tenant_id]["cost_usd"], items[tenant_id]["platform_cost_usd"]) == (
            turn["cost_usd"],
            turn["platform_cost_usd"],
        )
        assert items[tenant_id]["usage"] == turn["usage"]


def test_platforms_share_is_grouped_by_reason(ask: Ask, room: CouncilRoom, turns: dict[str, dict[str, Any]]) -> None:
    (total,) = body_of(ask())["items"]
    share = {name: Decimal(usd) for name, usd in total["platform_share"].items()}
    assert share == {
        "attempts_usd": FAST_COST,
        "routing_usd": FAST_COST,
        "summaries_usd": 2 * FAST_COST,
        "unknown_usd": 0,
    }
    assert Decimal(total["platform_cost_usd"]) == sum(share.values())
    assert Decimal(total["cost_usd"]) == 2 * FAST_COST + DEEP_COST
    assert Decimal(total["suspense_usd"]) == room.accounts()["suspense"] > 0


def test_settled_unknown_outcomes_are_a_group_of_their_own(ask: Ask, room: CouncilRoom) -> None:
    def late(_: object) -> Any:
        room.expire_lease()
        room.provider.enqueue(answer())
        room.resume(room.row("SELECT id FROM turns")["id"], room.runner(db=room.open_database()))
        return answer("Too late.")

    room.provider.enqueue(late)
    room.take("@writer hello")
    (total,) = body_of(ask())["items"]
    assert (total["calls"], total["suspense_usd"]) == (2, "0")
    assert Decimal(total["platform_share"]["unknown_usd"]) == Decimal(total["platform_cost_usd"]) == FAST_COST


@pytest.mark.parametrize(
    ("purpose", "reason", "share"),
    [
        ("agent", "failed_attempt", "attempts_usd"),
        ("review", "failed_attempt", "attempts_usd"),
        ("routing", "helper", "routing_usd"),
        ("routing", "failed_attempt", "routing_usd"),
        ("summary_text", "helper", "summaries_usd"),
        ("summary_structure", "failed_attempt", "summaries_usd"),
        ("agent", "unknown_outcome", "unknown_usd"),
        ("routing", "unknown_outcome", "unknown_usd"),
    ],
)
def test_each_amount_of_the_platform_is_in_one_part_of_its_share(
    ask: Ask, room: CouncilRoom, purpose: str, reason: str, share: str
) -> None:
    insert(room.owner, [entry(hours_ago(0.1), account="platform", purpose=purpose, reason=reason)])
    (total,) = body_of(ask("from=" + hours_ago(24).strftime("%Y-%m-%d")))["items"]
    shares = {name: usd for name, usd in total["platform_share"].items() if Decimal(usd)}
    assert shares == {share: total["platform_cost_usd"]} == {share: "0.1"}
    # No turn earned the row, and the room's invariants would find it.
    room.owner.execute("DELETE FROM usage_ledger")


def test_reviews_of_a_council_have_a_group_of_their_own(ask: Ask, room: CouncilRoom) -> None:
    ranked = answer(json.dumps({"ranking": ["B", "A"]}))
    room.provider.enqueue(*[answer()] * 3, *[ranked] * 3, answer())
    turn = body(room.take("hello", mode="council"))
    items = {(item["purpose"], item["reason"]): item for item in body_of(ask("group_by=purpose,reason"))["items"]}
    assert items.keys() == {("agent", "reply"), ("review", "review")}
    replies = sum(Decimal(reply["cost_usd"]) for reply in turn["replies"])
    assert items["review", "review"]["calls"] == 3
    assert Decimal(items["review", "review"]["cost_usd"]) == Decimal(turn["cost_usd"]) - replies > 0


def test_groups_are_the_tenants_and_those_that_tenants_have(ask: Ask, turns: dict[str, dict[str, Any]]) -> None:
    items = body_of(ask(f"group_by={','.join(GROUPS)}&limit=100"))["items"]
    assert all(item.keys() >= set(GROUPS) for item in items)
    assert sum(item["calls"] for item in items) == 8
    refused = problem_of(ask("group_by=user_id"), 422, "invalid_request")
    assert refused["groups"] == GROUPS
