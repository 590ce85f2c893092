"""Tests the cost of an idle development stage, line by line."""

from dataclasses import replace
from typing import Any

import pytest

from bench import at_rest
from bench.cost_model import Month
from bench.footprint import Footprint
from infra_cdk.places import Awake
from infra_cdk.stages import DEV


def test_dev_at_rest_costs_less_than_its_bound() -> None:
    assert 0 < at_rest.total(DEV) < at_rest.BOUND_USD == 45


def test_lines_of_the_table_add_up_to_the_total() -> None:
    assert sum(item.usd for item in at_rest.items()) == pytest.approx(at_rest.total(DEV))
    assert all(item.usd > 0 and item.saving for item in at_rest.items())


@pytest.mark.parametrize("change", at_rest.MORE.values(), ids=list(at_rest.MORE))
def test_switch_that_dev_has_off_costs_money(change: dict[str, Any]) -> None:
    assert at_rest.total(replace(DEV, **change)) > at_rest.total(DEV) + 2


@pytest.mark.parametrize("change", at_rest.LESS.values(), ids=list(at_rest.LESS))
def test_saving_switch_lowers_the_cost(change: dict[str, Any]) -> None:
    assert at_rest.total(replace(DEV, **change)) < at_rest.total(DEV) - 0.5


def test_database_that_stops_at_night_costs_its_running_share_of_the_week() -> None:
    hours = Awake("07:00", "20:00")
    storage = 20 * 0.137
    always, nights = (
        Month(stage, 0, Footprint.kept()).costs()["database"] for stage in (DEV, replace(DEV, awake=hours))
    )
    assert nights - storage == pytest.approx((always - storage) * 65 / 168)
