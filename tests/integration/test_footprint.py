"""Tests that the cost model's figures equal the rows that a turn and a sweep leave today."""

from dataclasses import asdict

from bench.footprint import CASE, Footprint, measure
from bench.world import World


def test_figures_of_the_cost_model_equal_the_measured_footprint(logging_as_it_was: None) -> None:
    with World.start(CASE, {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}) as world:
        found = asdict(measure(world, 40, sweeps=3))
    kept = asdict(Footprint.kept())
    # Rows are stored in pages of 8 kB, and forty turns fill few. A fifth of the smallest part does not change a bill.
    within = {"wal_bytes": 0.2, "stored_bytes": 0.5, "logged_bytes": 0.25, "response_bytes": 0.2}
    within["sweep_logged_bytes"] = 0.4
    off = {name: (found[name], kept[name]) for name, part in within.items() if abs(found[name] / kept[name] - 1) > part}
    assert off == {}, "make cost-model measures it again"
