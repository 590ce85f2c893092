"""Dashboards of a template: where each widget stands, and what it shows of what was emitted."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.cloudwatch import insights
from tests.support.cloudwatch.maths import Maths, Several
from tests.support.cloudwatch.metrics import Metrics, Named, Series, Window
from tests.support.templates.template import Template, text

# The period of a widget that names none.
_PERIOD_S = 300
_DAY_S = 24 * 60 * 60


@dataclass(frozen=True)
class Widget:
    """`x`, `y`, `width` and `height` are in units of the dashboard's grid, which is 24 wide."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    properties: Mapping[str, Any]

    @property
    def title(self) -> str:
        """A text has none, and stands for itself."""
        return str(self.properties.get("title") or self.properties["markdown"])

    def lines(self, metrics: Metrics, window: Window) -> list[tuple[str, Series]]:
        """Return the lines of the graph with their labels."""
        # An expression may stand before what it names.
        read = {
            options["id"]: _read(metrics, window, named, options)
            for named, options in self.metrics()
            if "id" in options
        }
        shown: list[tuple[str, Series]] = []
        for line in self.properties["metrics"]:
            if isinstance(line[0], dict):
                maths = Maths(metrics, window, line[0].get("period", _PERIOD_S), read)
                shown += _labelled(maths.evaluate(line[0]["expression"]), line[0].get("label", ""))
                continue
            named, options = _metric(line)
            if options.get("visible", True):
                shown.append((options.get("label", named.name), _read(metrics, window, named, options)))
        twice = [label for label, number in Counter(label for label, _ in shown).items() if number > 1]
        assert not twice, f"{self.title}: {twice} is said of several lines"
        return shown

    def table(self, lines: Sequence[insights.Line]) -> tuple[list[str], list[list[str]]]:
        return insights.run(self.properties["query"], lines)

    def metrics(self) -> Iterator[tuple[Named, Mapping[str, Any]]]:
        """Yield the metrics that no search finds, each with its options."""
        yield from (_metric(line) for line in self.properties.get("metrics", ()) if isinstance(line[0], str))


@dataclass(frozen=True)
class Board:
    """`seconds` is how far back it looks when it is opened."""

    name: str
    seconds: float
    widgets: Sequence[Widget]

    @property
    def kind(self) -> str:
        """Its name without the stage's."""
        return self.name.rpartition("-")[2]


def boards_of(template: Template) -> list[Board]:
    found = []
    for board in template.resources("AWS::CloudWatch::Dashboard").values():
        body = json.loads(text(board["DashboardBody"]))
        days = int(body["start"].removeprefix("-P").removesuffix("D"))
        widgets = [
            Widget(one["type"], one["x"], one["y"], one["width"], one["height"], one["properties"])
            for one in body["widgets"]
        ]
        found.append(Board(board["DashboardName"], days * _DAY_S, widgets))
    return found


def _metric(line: Sequence[Any]) -> tuple[Named, Mapping[str, Any]]:
    *names, options = line if isinstance(line[-1], dict) else [*line, {}]
    namespace, name, *dimensions = names
    return Named(namespace, name, frozenset(zip(dimensions[::2], dimensions[1::2], strict=True))), options


def _read(metrics: Metrics, window: Window, named: Named, options: Mapping[str, Any]) -> Series:
    return metrics.read(named, options.get("stat", "Average"), options.get("period", _PERIOD_S), window)


def _labelled(value: float | Series | Several, label: str) -> list[tuple[str, Series]]:
    if isinstance(value, Several):
        return [(f"{label} {name}".strip(), series) for name, series in value.series.items()]
    assert isinstance(value, dict)
    return [(label, value)]
