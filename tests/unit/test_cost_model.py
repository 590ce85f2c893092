"""docs/costs.md has the tables of the cost model, and costs grow with the turns."""

from dataclasses import replace
from itertools import pairwise
from math import ceil

import pytest

from bench import cost_page
from bench.anonymous import by_kind
from bench.answers import mean_bytes, mean_requests, streamed_bytes
from bench.assumed import ASSUMED
from bench.cost_model import PARTS, Month, first_limits
from bench.footprint import Footprint
from infra_cdk.stage_checks import TURN_S
from infra_cdk.stages import PROD, STAGES, Stage

FOOTPRINT = Footprint.kept()


def test_page_has_the_tables_of_the_model() -> None:
    page = cost_page.PAGE.read_text(encoding="utf-8")
    assert cost_page.written(page) == page, "make cost-model, or python -m bench.cost_page, writes it"


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_cost_of_every_part_grows_with_the_turns(stage: Stage) -> None:
    by_size = [Month(stage, turns, FOOTPRINT).costs() for turns in cost_page.SIZES]
    assert by_size[0]["models"] == 0
    assert all(by_size[0][part] > 0 for part in PARTS if part != "models")
    for fewer, more in pairwise(by_size):
        assert all(fewer[part] <= more[part] for part in PARTS)
    assert all(by_size[0][part] < by_size[-1][part] for part in PARTS)


def test_a_turns_models_are_priced_by_the_catalog() -> None:
    # USD for a million tokens: fast costs 0.10 and 0.50, deep costs 2 and 10. An agent's call has 2500 and 300 tokens.
    # The manager's call has 1200 and 60. A summary's two calls count as a twelfth.
    agents = 2 * (2500 * 0.10 + 300 * 0.50) + (2500 * 2 + 300 * 10)
    helpers = 1200 * 0.10 + 60 * 0.50 + 2 * (2500 * 0.10 + 300 * 0.50) / 12
    assert Month(PROD, 1, FOOTPRINT).models_a_turn() == pytest.approx((agents + helpers) / 1e6)


AWAY = "shared/catalog/files/openai.toml"


def test_a_stages_models_are_priced_by_its_own_catalog() -> None:
    # fast at 0.25 and 2.00, deep at 1.25 and 10 USD a million.
    agents = 2 * (2500 * 0.25 + 300 * 2) + (2500 * 1.25 + 300 * 10)
    helpers = 1200 * 0.25 + 60 * 2 + 2 * (2500 * 0.25 + 300 * 2) / 12
    month = Month(replace(PROD, catalog=AWAY, egress="nat"), 1, FOOTPRINT)
    assert month.models_a_turn() == pytest.approx((agents + helpers) / 1e6)


def test_egress_costs_its_sent_bytes_and_a_gateway_also_its_hours_and_answers() -> None:
    none, nat, ipv6 = (
        Month(stage, 1_000_000, FOOTPRINT)
        for stage in (
            PROD,
            replace(PROD, catalog=AWAY, egress="nat"),
            replace(PROD, catalog=AWAY, egress="ipv6"),
        )
    )
    # Four bytes a token: three agents, the manager, and a twelfth of two calls for a summary.
    prompts = (3 * 2500 + 1200 + 2 * 2500 / 12) * 4 / 1000
    # Beside each token of an agent, 250 bytes of the chunk that it comes in.
    answers = ((3 * 300 + 60 + 2 * 300 / 12) * 4 + 3 * 300 * 250) / 1000
    assert none.providers_usd() == 0
    assert ipv6.providers_usd() == pytest.approx(prompts * 0.09)
    hours = 2 * 730 * (0.052 + 0.005)
    assert nat.providers_usd() == pytest.approx(prompts * 0.09 + hours + (prompts + answers) * 0.052)
    bedrock = 2 * 730 * 0.012 + (prompts + answers) * 0.01
    assert none.costs()["network"] - ipv6.costs()["network"] == pytest.approx(bedrock - prompts * 0.09)


def test_second_zone_doubles_the_cost_of_the_database_at_rest() -> None:
    proxy = 0.036 * 730
    both = Month(PROD, 0, FOOTPRINT).costs()["database"]
    one = Month(replace(PROD, multi_az=False), 0, FOOTPRINT).costs()["database"]
    assert both - proxy == pytest.approx(2 * (one - proxy))


def test_request_costs_the_rates_of_the_rest_api_and_its_web_acl() -> None:
    def of_requests(stage: Stage) -> float:
        none, some = (Month(stage, turns, FOOTPRINT).costs()["front door"] for turns in (0, 1_000_000))
        return some - none

    without = replace(PROD, waf_rate=None)
    assert of_requests(without) == pytest.approx(4 * 3.70)
    assert of_requests(PROD) == pytest.approx(4 * (3.70 + 0.60))
    rest = [Month(stage, 0, FOOTPRINT).costs()["front door"] for stage in (PROD, without)]
    assert rest[0] - rest[1] == pytest.approx(6)


def test_a_streamed_answer_is_a_request_for_each_10_mb_that_it_begins() -> None:
    # 900 tokens of agents, each in an event of its own, and the replies and the turn after them.
    small = 900 * (52 + 4) + 2 * FOOTPRINT.response_bytes
    assert streamed_bytes(ASSUMED, FOOTPRINT) == small
    assert mean_requests(ASSUMED, FOOTPRINT) == 1
    over = replace(ASSUMED, event_bytes=10_000_000 // 900)
    assert mean_requests(over, FOOTPRINT) == 2
    assert mean_requests(replace(over, streamed=0.25), FOOTPRINT) == 1.25
    whole = replace(ASSUMED, streamed=0.0)
    assert (mean_bytes(ASSUMED, FOOTPRINT), mean_bytes(whole, FOOTPRINT)) == (small, FOOTPRINT.response_bytes)
    more = replace(PROD, waf_rate=None)
    by_requests = [Month(more, 1_000_000, FOOTPRINT, one).costs()["front door"] for one in (ASSUMED, over)]
    assert by_requests[1] - by_requests[0] == pytest.approx(3.70)


def test_turn_runs_in_the_function_it_was_posted_to_unless_it_exceeds_its_time() -> None:
    assert Month(PROD, 1, FOOTPRINT).handed_over() == ASSUMED.posted_for_later == 0.01
    slow = replace(ASSUMED, tokens_a_second=1.0)
    assert Month(PROD, 1, FOOTPRINT, slow).turn_s() > 900
    assert Month(PROD, 1, FOOTPRINT, slow).handed_over() == 1.0


def test_a_turn_that_is_handed_over_costs_an_invocation_a_log_and_three_requests_to_the_queue() -> None:
    turns = 1_000_000
    all_later = replace(ASSUMED, posted_for_later=1.0)
    some, every = (Month(PROD, turns, FOOTPRINT, assumed).costs() for assumed in (ASSUMED, all_later))
    more = 0.99 * turns
    assert every["queue"] - some["queue"] == pytest.approx(more * 3 * 0.0000004)
    restored = 0.005 * PROD.memory_mb / 1024 * 0.0001397998
    assert every["Lambda"] - some["Lambda"] == pytest.approx(more * (0.0000002 + restored))
    assert every["logs and metrics"] > some["logs and metrics"]


def test_capacity_of_stages_assumes_the_turn_length_of_the_cost_model() -> None:
    assert ceil(Month(PROD, 1, FOOTPRINT).turn_s()) == TURN_S


def test_the_authorizer_runs_once_a_turn_and_the_keys_are_copied_every_five_minutes() -> None:
    never = replace(ASSUMED, authorizations_a_turn=0.0, authorizers=0, copy_s=0.0)
    turns = 1_000_000

    def difference(part: str, turns: int) -> float:
        month, without = (Month(PROD, turns, FOOTPRINT, assumed).costs()[part] for assumed in (ASSUMED, never))
        return month - without

    copies = 730 * 12
    gb = PROD.memory_mb / 1024
    assert difference("Lambda", 0) == pytest.approx(copies * 0.5 * gb * 0.0000133334)
    restored = 0.005 * gb * 0.0001397998
    one = 0.006 * gb * 0.0000133334 + 0.0000002 + restored
    assert difference("Lambda", turns) - difference("Lambda", 0) == pytest.approx(turns * one)
    assert difference("front door", turns) == pytest.approx(copies * 3 * 0.00000043)


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_anonymous_request_costs_more_the_later_it_is_refused(stage: Stage) -> None:
    found = by_kind(stage)
    assert found["no Authorization header"] == found["unknown path"]
    order = ["unknown path", "malformed token", "unknown API key", "`GET /health`"]
    assert all(found[one] < found[next_] for one, next_ in pairwise(order))
    gateway = 3.70 + (0.60 if stage.waf_rate else 0)
    assert gateway < found["unknown path"] < gateway + 1


def test_page_has_the_range_of_a_million_anonymous_requests() -> None:
    found = [usd for stage in STAGES.values() for usd in by_kind(stage).values()]
    assert 4 < min(found) < max(found) < 7
    assert "between 4 and 7 USD" in cost_page.PAGE.read_text(encoding="utf-8")


def test_stage_holds_its_most_turns_and_exceeds_a_limit_one_percent_above() -> None:
    for stage in STAGES.values():
        turns, met = first_limits(stage, FOOTPRINT)
        assert Month(stage, turns, FOOTPRINT).limits() == []
        assert Month(stage, int(turns * 1.011), FOOTPRINT).limits() == met


def test_a_stage_runs_as_many_turns_at_once_as_it_reserves() -> None:
    turns, met = first_limits(PROD, FOOTPRINT)
    assert met == ["concurrency"]
    assert Month(PROD, turns, FOOTPRINT).turns_at_once() <= PROD.reserved["turns"]
    assert Month(PROD, int(turns * 1.011), FOOTPRINT).turns_at_once() > PROD.reserved["turns"]


def test_limits_that_a_stage_reaches_grow_with_its_turns() -> None:
    met = [set(Month(STAGES["dev"], turns, FOOTPRINT).limits()) for turns in (10_000, 10_000_000, 1_000_000_000)]
    assert met[0] == set()
    assert met[0] <= met[1] <= met[2]
    assert "connections" in met[1]
    assert len(met[2]) == 5
    assert "connections" not in Month(PROD, 1_000_000_000, FOOTPRINT).limits(), "a proxy shares them"
