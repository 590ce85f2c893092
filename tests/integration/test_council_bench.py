"""Tests that the council benchmark counts scripted agents' right answers, cost, tokens and calls."""

from decimal import Decimal
from itertools import groupby

import pytest

from bench.council import COLUMNS, CONTESTANTS, ask_all, make_agents, row
from bench.experts import Experts
from bench.questions import questions
from bench.world import KEYS, Case, World
from shared.names import Env

_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
# 100 tokens at 0.10 and 10 at 0.40 USD per million.
_CALL_USD = Decimal("0.000014")


def test_the_bench_counts_what_scripted_agents_know_and_cost(
    monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None
) -> None:
    monkeypatch.setenv(Env.LLM_PROVIDER, "scripted")
    asked = [each for _, kind in groupby(questions(), lambda question: question.kind) for each in list(kind)[-2:]]
    with World.start(Case("council", "council", KEYS[:3]), _SETTINGS, models=lambda: Experts(asked)) as world:
        make_agents(["fast"])
        results = {one.name: ask_all(world, asked, one) for one in CONTESTANTS}
    for (name, each), calls in zip(results.items(), (1, 3, 7), strict=True):
        assert [result.calls for result in each] == [calls] * 8, name
        assert [result.tokens for result in each] == [calls * 110] * 8
        assert [result.usd for result in each] == [calls * _CALL_USD] * 8
        assert all(result.seconds > 0 for result in each)
    rows = [dict(zip(COLUMNS, row(name, each), strict=True)) for name, each in results.items()]
    assert [tuple(cells.values())[:6] for cells in rows] == [
        ("single agent", "2/2", "0/2", "0/2", "0/2", "2/8"),
        ("roundtable of 3", "2/2", "2/2", "2/2", "0/2", "6/8"),
        ("council of 3", "2/2", "2/2", "2/2", "2/2", "8/8"),
    ]
    assert [(cells["USD"], cells["tokens"], cells["calls"], cells["fallbacks"]) for cells in rows] == [
        ("0.000014", "110", "1.0", "0"),
        ("0.000042", "330", "3.0", "0"),
        ("0.000098", "770", "7.0", "0"),
    ]
