"""What the cost model says in docs/deploy.md is what it works out, and grows as it must."""

from dataclasses import replace
from itertools import pairwise

import pytest

from bench import cost_page
from bench.cost_model import PARTS, Month, first_limits
from bench.footprint import Footprint
from infra_cdk.stages import PROD, STAGES, Stage

FOOTPRINT = Footprint.kept()


def test_the_page_is_as_it_would_be_written() -> None:
    page = cost_page.PAGE.read_text(encoding="utf-8")
    assert cost_page.written(page) == page, "make cost-model, or python -m bench.cost_page, writes it"


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_more_turns_cost_more_in_every_part_and_rest_is_not_for_nothing(stage: Stage) -> None:
    by_size = [Month(stage, turns, FOOTPRINT).costs() for turns in cost_page.SIZES]
    assert by_size[0]["models"] == by_size[0]["API Gateway"] == 0
    assert all(by_size[0][part] > 0 for part in PARTS if part not in ("models", "API Gateway"))
    for fewer, more in pairwise(by_size):
        assert all(fewer[part] <= more[part] for part in PARTS)
    assert all(by_size[0][part] < by_size[-1][part] for part in PARTS)


def test_a_turns_models_are_priced_by_the_catalog() -> None:
    # fast at 0.10 and 0.50, deep at 2 and 10 USD a million: 2500 and 300 tokens each, the manager's 1200 and 60, and a
    # twelfth of two calls for a summary.
    agents = 2 * (2500 * 0.10 + 300 * 0.50) + (2500 * 2 + 300 * 10)
    helpers = 1200 * 0.10 + 60 * 0.50 + 2 * (2500 * 0.10 + 300 * 0.50) / 12
    assert Month(PROD, 1, FOOTPRINT).models_a_turn() == pytest.approx((agents + helpers) / 1e6)


def test_a_second_zone_doubles_what_the_database_costs_at_rest() -> None:
    proxy = 0.036 * 730
    both = Month(PROD, 0, FOOTPRINT).costs()["database"]
    one = Month(replace(PROD, multi_az=False), 0, FOOTPRINT).costs()["database"]
    assert both - proxy == pytest.approx(2 * (one - proxy))


def test_a_stage_holds_what_it_is_said_to_and_no_more_than_a_hundredth_more() -> None:
    for stage in STAGES.values():
        turns, met = first_limits(stage, FOOTPRINT)
        assert Month(stage, turns, FOOTPRINT).limits() == []
        assert Month(stage, int(turns * 1.011), FOOTPRINT).limits() == met


def test_limits_are_met_in_their_order() -> None:
    met = [set(Month(STAGES["dev"], turns, FOOTPRINT).limits()) for turns in (10_000, 10_000_000, 1_000_000_000)]
    assert met[0] == set()
    assert met[0] <= met[1] <= met[2]
    assert "connections" in met[1]
    assert len(met[2]) == 5
    assert "connections" not in Month(PROD, 1_000_000_000, FOOTPRINT).limits(), "a proxy shares them"
