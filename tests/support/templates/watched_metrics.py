"""Finds the metrics of Pantheon that the dashboards and alarms of a template read."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.names import METRICS_NAMESPACE
from tests.support.templates.template import Template, text

_SEARCH = re.compile(r"SEARCH\('\{([^}]+)\} service=\"([\w-]+)\" MetricName=\"(\w+)\"'")


@dataclass(frozen=True)
class Read:
    """One series when each dimension has its value; with None, each series of these dimensions."""

    metric: str
    dimensions: frozenset[tuple[str, str | None]]

    def is_of(self, metric: str, dimensions: dict[str, str]) -> bool:
        wanted = dict(self.dimensions)
        return (
            metric == self.metric
            and wanted.keys() == dimensions.keys()
            and all(value is None or value == dimensions[name] for name, value in wanted.items())
        )


def read_by(template: Template) -> set[Read]:
    """By every widget and every alarm."""
    boards = template.resources("AWS::CloudWatch::Dashboard").values()
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    found = {read for board in boards for read in _by_board(json.loads(text(board["DashboardBody"])))}
    return found | {read for alarm in alarms for read in _by_alarm(alarm)}


def titles(template: Template) -> list[str]:
    """Of every widget that has one."""
    boards = template.resources("AWS::CloudWatch::Dashboard").values()
    widgets = [widget for board in boards for widget in json.loads(text(board["DashboardBody"]))["widgets"]]
    return [widget["properties"]["title"] for widget in widgets if "title" in widget["properties"]]


def _by_board(body: dict[str, Any]) -> Iterator[Read]:
    for widget in body["widgets"]:
        for line in widget["properties"].get("metrics", ()):
            yield from _by_line(line)


def _by_line(line: Sequence[Any]) -> Iterator[Read]:
    match line:
        case [{"expression": expression}]:
            for schema, service, metric in _SEARCH.findall(expression):
                namespace, *names = schema.split(",")
                assert namespace == METRICS_NAMESPACE
                yield Read(metric, frozenset((name, service if name == "service" else None) for name in names))
            assert expression.count("SEARCH(") == len(_SEARCH.findall(expression))
        case [namespace, metric, *named] if namespace == METRICS_NAMESPACE:
            pairs = [part for part in named if isinstance(part, str)]
            yield Read(metric, frozenset(zip(pairs[::2], pairs[1::2], strict=True)))


def _by_alarm(alarm: dict[str, Any]) -> Iterator[Read]:
    stats = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
    for metric in stats or [alarm]:
        if metric.get("Namespace") == METRICS_NAMESPACE:
            pairs = frozenset((pair["Name"], pair["Value"]) for pair in metric["Dimensions"])
            yield Read(metric["MetricName"], pairs)
