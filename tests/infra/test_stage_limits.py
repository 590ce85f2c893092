"""A stage whose limits are missing or do not fit each other cannot be made."""

from dataclasses import MISSING, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from infra_cdk.entries import AUTHORIZER, ENTRIES
from infra_cdk.stage_checks import ACCOUNT_CONCURRENCY, UNRESERVED
from infra_cdk.stages import PROD, STAGES, Stage

MONEY = ("budget_usd", "default_cap_usd", "platform_allowance_usd", "turn_usd", "turns_per_minute")
WORKERS = PROD.worker_concurrency


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
def test_a_smaller_limit_is_at_most_the_larger_one(smaller: str, larger: str) -> None:
    most = Decimal(getattr(PROD, larger))
    changed(PROD, **{smaller: most})
    with pytest.raises(ValueError, match=f"{smaller} above 0 and at most its {larger}"):
        changed(PROD, **{smaller: most + 1})


def test_every_function_that_somebody_waits_for_keeps_its_concurrency_in_production() -> None:
    awaited = {entry.name for entry in ENTRIES if entry.serves} | {AUTHORIZER.name}
    assert awaited < set(PROD.reserved)


def test_reserved_concurrency_leaves_a_hundred_of_the_account() -> None:
    large = changed(PROD, connections=2_000, reserved={})
    most = ACCOUNT_CONCURRENCY - UNRESERVED - large.worker_concurrency
    reserving(large, api=most, worker=large.worker_concurrency)
    with pytest.raises(ValueError, match="must stay unreserved"):
        reserving(large, api=most + 1, worker=large.worker_concurrency)


def test_reserved_concurrency_is_at_most_the_connections_that_functions_may_open() -> None:
    assert PROD.shared_connections == 540
    reserving(PROD, api=540 - WORKERS, worker=WORKERS, migrate=50, jwks=50)
    for reserved in ({"api": 541 - WORKERS}, {"api": 541 - WORKERS, "worker": WORKERS}):
        with pytest.raises(ValueError, match="540 connections"):
            reserving(PROD, **reserved)
    assert replace(PROD, proxy=False).shared_connections == 580


def test_the_worker_reserves_what_its_queue_delivers_at_once() -> None:
    with pytest.raises(ValueError, match=f"{WORKERS} workers"):
        reserving(PROD, worker=WORKERS - 1)


def test_concurrency_is_reserved_for_functions_that_exist() -> None:
    with pytest.raises(ValueError, match="nobody"):
        reserving(PROD, nobody=1)
