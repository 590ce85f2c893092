"""Tests that a stage with few metrics emits only those that its alarms read."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from shared import telemetry
from shared.domain.money import Usage
from shared.domain.outcome import Bill, CallFigures, TurnOutcome
from shared.names import ALARM_SERIES, Dimension, Env, Metric
from shared.settings import stage_settings

CALLS = (CallFigures("agent", "fast", "succeeded", Usage(10, 20), 0.5, 1.0),)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(Env.METRICS, "alarms")
    stage_settings.cache_clear()
    yield
    stage_settings.cache_clear()


def series(capsys: pytest.CaptureFixture[str]) -> set[tuple[str, ...]]:
    """Each metric with its dimensions, without the service."""
    found = set()
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                found |= {
                    (metric["Name"], *(name for name in names if name != "service"))
                    for names in directive["Dimensions"]
                }
    return found


def test_turn_emits_the_metrics_that_alarms_read(capsys: pytest.CaptureFixture[str]) -> None:
    bill = Bill("tenant-1", uuid4(), Decimal("0.5"), Decimal("0.25"))
    telemetry.emit(TurnOutcome(uuid4(), "completed", "{}", calls=CALLS, seconds=3.0, published=True, bill=bill))
    text = capsys.readouterr().out
    (line,) = map(json.loads, text.splitlines())
    names = {metric["Name"] for one in line["_aws"]["CloudWatchMetrics"] for metric in one["Metrics"]}
    assert names == {Metric.TURN_DURATION, Metric.FALLBACK_USED, Metric.CALLS, Metric.UNKNOWN_CALLS}
    assert all(one["Dimensions"] == [["service"]] for one in line["_aws"]["CloudWatchMetrics"])
    # Queries over the log still add up the cost by tenant.
    assert (line["tenant_id"], line["total_usd"]) == ("tenant-1", "0.5")


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric not in ALARM_SERIES])
def test_metric_that_no_alarm_reads_is_left_out(metric: Metric, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.count(metric)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("metric", sorted(ALARM_SERIES))
def test_metric_of_an_alarm_is_emitted_with_only_the_dimensions_that_the_alarm_reads(
    metric: Metric, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted: dict[Dimension, Any] = dict.fromkeys(ALARM_SERIES[metric], "x")
    telemetry.measure({metric: 1.0}, wanted)
    telemetry.measure({metric: 1.0}, {Dimension.PURPOSE: "agent"})
    assert series(capsys) == {(metric, *wanted)}
