"""A stage with missing or contradictory limits raises an error."""

from dataclasses import MISSING, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from infra_cdk.entries import AUTHORIZER, ENTRIES
from infra_cdk.stage_checks import ACCOUNT_CONCURRENCY, TURN_S, UNRESERVED
from infra_cdk.stages import PROD, STAGES, Stage
from shared.settings import Settings

MONEY = ("budget_usd", "default_cap_usd", "platform_allowance_usd", "turn_usd", "turns_per_minute")
WORKERS = PROD.worker_concurrency
# The throttle alone leaves a connection for each turn, so no reservation is necessary.
CALM = replace(PROD, turn_rate=1, turn_burst=1)


def changed(stage: Stage, **changes: Any) -> Stage:
    return replace(stage, **changes)


def reserving(stage: Stage, **reserved: int) -> Stage:
    return replace(stage, reserved=MappingProxyType(reserved))


@pytest.mark.parametrize("name", MONEY)
def test_a_limit_of_money_has_no_default(name: str) -> None:
    (found,) = (field for field in fields(Stage) if field.name == name)
    assert (found.default, found.default_factory) == (MISSING, MISSING)


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
@pytest.mark.parametrize("name", MONEY)
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_of_money_is_above_zero(stage: Stage, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        changed(stage, **{name: type(getattr(stage, name))(value)})


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity")])
@pytest.mark.parametrize("name", ["default_cap_usd", "platform_allowance_usd", "turn_usd"])
def test_a_limit_of_money_is_a_number(name: str, value: Decimal) -> None:
    with pytest.raises(ValueError, match=name):
        changed(PROD, **{name: value})


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("platform_allowance_usd", "default_cap_usd"),
        ("turn_usd", "default_cap_usd"),
        ("default_cap_usd", "budget_usd"),
    ],
)
def test_smaller_limit_of_money_is_at_most_the_larger_one(smaller: str, larger: str) -> None:
    most = Decimal(getattr(PROD, larger))
    changed(PROD, **{smaller: most})
    with pytest.raises(ValueError, match=f"{smaller} above 0 and at most its {larger}"):
        changed(PROD, **{smaller: most + 1})


def test_production_reserves_concurrency_for_each_synchronous_function() -> None:
    awaited = {entry.name for entry in ENTRIES if entry.serves} | {AUTHORIZER.name}
    assert awaited < set(PROD.reserved)


def test_reserved_concurrency_leaves_a_hundred_of_the_account() -> None:
    large = changed(CALM, connections=2_000, reserved={})
    most = ACCOUNT_CONCURRENCY - UNRESERVED - large.worker_concurrency
    reserving(large, api=most, worker=large.worker_concurrency)
    with pytest.raises(ValueError, match="must stay unreserved"):
        reserving(large, api=most + 1, worker=large.worker_concurrency)


def test_reserved_concurrency_is_at_most_the_connections_that_functions_may_open() -> None:
    assert PROD.shared_connections == 540
    reserving(CALM, api=540 - WORKERS, worker=WORKERS, migrate=50, jwks=50)
    for reserved in ({"api": 541 - WORKERS}, {"api": 541 - WORKERS, "worker": WORKERS}):
        with pytest.raises(ValueError, match="540 connections"):
            reserving(CALM, **reserved)
    assert replace(PROD, proxy=False).shared_connections == 580


def test_worker_reserves_the_concurrency_of_its_queue() -> None:
    with pytest.raises(ValueError, match=f"{WORKERS} invocations of worker"):
        reserving(CALM, worker=WORKERS - 1)


def test_concurrency_is_reserved_for_functions_that_exist() -> None:
    with pytest.raises(ValueError, match="nobody"):
        reserving(CALM, nobody=1)


@pytest.mark.parametrize("name", ["dev", "staging"])
def test_throttle_keeps_a_connection_for_each_turn_without_a_reservation(name: str) -> None:
    stage = STAGES[name]
    free = stage.shared_connections - stage.worker_concurrency - stage.open_burst
    most = free - stage.turn_rate * TURN_S
    assert stage.turn_burst <= most
    assert changed(stage, turn_burst=most).turns_at_once == free
    for more in ({"turn_burst": most + 1}, {"turn_rate": free // TURN_S + 1}):
        with pytest.raises(ValueError, match=rf"{name} lets \d+ turns run at once"):
            changed(stage, **more)


def test_throttle_may_exceed_the_reserved_concurrency() -> None:
    assert PROD.turns_at_once == PROD.reserved["turns"] < PROD.turn_burst + PROD.turn_rate * TURN_S


def test_turn_limit_of_a_tenant_leaves_most_processes_to_others() -> None:
    most = Settings.model_fields["tenant_active_turns"].default
    assert 10 * most <= PROD.reserved["turns"]
