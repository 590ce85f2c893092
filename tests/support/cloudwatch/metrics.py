"""The data points that CloudWatch holds, and what it reads out of them: a statistic a period, or a search's series."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The statistic of each period, by the period's start in seconds. A period without a data point is not in it.
Series = dict[float, float]
_SCHEMA = re.compile(r"^\{(?P<names>[^}]+)\} (?P<wanted>.*)$")
_WANTED = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, order=True)
class Named:
    """A metric as CloudWatch knows it apart from others: dimensions are part of its name."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Window:
    """Seconds: from `start` to `end`, which is not in it. Periods are counted from `start`."""

    start: float
    end: float

    def periods(self, seconds: float) -> list[float]:
        return [self.start + number * seconds for number in range(math.ceil((self.end - self.start) / seconds))]


class Metrics:
    """Everything that was emitted or given, with the moment that it was stamped with."""

    def __init__(self) -> None:
        self._points: dict[Named, list[tuple[float, float]]] = defaultdict(list)

    def names(self) -> list[Named]:
        """Every metric that there is."""
        return list(self._points)

    def put(self, metric: Named, moment: float, *values: float) -> None:
        self._points[metric].extend((moment, value) for value in values)

    def put_line(self, line: Mapping[str, Any], moment: float) -> None:
        """A line in CloudWatch's embedded metric format."""
        for metric, values in emitted_by(line):
            self.put(metric, moment, *values)

    def read(self, metric: Named, statistic: str, period: float, window: Window) -> Series:
        values: dict[float, list[float]] = defaultdict(list)
        for moment, value in self._points.get(metric, ()):
            if window.start <= moment < window.end:
                values[window.start + (moment - window.start) // period * period].append(value)
        return {start: aggregate(values[start], statistic) for start in sorted(values)}

    def search(self, expression: str, statistic: str, period: float, window: Window) -> dict[str, Series]:
        """By label, which is the values of those dimensions in which the series differ."""
        found = _SCHEMA.match(expression)
        assert found, f"Nobody has said how to search for {expression}"
        namespace, *names = found["names"].split(",")
        wanted = dict(_WANTED.findall(found["wanted"]))
        metric_name = wanted.pop("MetricName")
        series = {}
        for metric in sorted(self._points, key=lambda one: sorted(one.dimensions)):
            dimensions = dict(metric.dimensions)
            if (metric.namespace, metric.name) != (namespace, metric_name) or set(dimensions) != set(names):
                continue
            if all(dimensions[name] == value for name, value in wanted.items()):
                label = " ".join(dimensions[name] for name in names if name not in wanted)
                series[label] = self.read(metric, statistic, period, window)
        return {label: points for label, points in series.items() if points}


def emitted_by(line: Mapping[str, Any]) -> Iterator[tuple[Named, Sequence[float]]]:
    """Metrics and their values of a line in the embedded metric format, once for each set of dimensions."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = frozenset((name, str(line[name])) for name in names)
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                yield (
                    Named(directive["Namespace"], metric["Name"], dimensions),
                    value if isinstance(value, list) else [value],
                )


def aggregate(values: Sequence[float], statistic: str) -> float:
    match statistic:
        case "Sum":
            return math.fsum(values)
        case "Maximum":
            return max(values)
        case "Minimum":
            return min(values)
        case "Average":
            return math.fsum(values) / len(values)
        case "SampleCount":
            return float(len(values))
    assert re.fullmatch(r"p\d+", statistic), f"Nobody has said how to read {statistic}"
    ordered, place = sorted(values), (len(values) - 1) * int(statistic[1:]) / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
