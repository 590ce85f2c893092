"""Alarms of a template, as CloudWatch decides about them every minute.

An alarm reads the last `EvaluationPeriods` periods. `TreatMissingData` decides a period without a data point. All
periods must breach, because no alarm here asks for fewer. A composite alarm is its rule over the others. AWS reads some
periods further back before it counts a data point as missing. So it may ring some minutes later.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.cloudwatch.maths import Maths
from tests.support.cloudwatch.metrics import Metrics, Named, Series, Window
from tests.support.templates.template import Template, text

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


@dataclass(frozen=True)
class Alarm:
    """`name` is without the stage's; those that have none are called by their logical id."""

    id: str
    name: str
    properties: Mapping[str, Any]

    def metrics(self) -> Iterator[tuple[str, Named, str, int]]:
        """Id, metric, statistic and period in seconds of everything that it reads."""
        if "MetricName" in self.properties:
            yield "", _named(self.properties), self.properties["Statistic"], self.properties["Period"]
        for one in self.properties.get("Metrics", ()):
            if stat := one.get("MetricStat"):
                yield one["Id"], _named(stat["Metric"]), stat["Stat"], stat["Period"]

    def rings(self, metrics: Metrics, now: float) -> bool:
        number = self.properties["EvaluationPeriods"]
        assert self.properties.get("DatapointsToAlarm", number) == number
        values = self.values(metrics, now)
        return all(self._breaches(values.get(moment)) for moment in self._window(now).periods(self._period))

    def values(self, metrics: Metrics, now: float) -> Series:
        """Return the values that the alarm compares with its threshold, by period."""
        window = self._window(now)
        read = {id_: metrics.read(named, stat, period, window) for id_, named, stat, period in self.metrics()}
        expressions = [one["Expression"] for one in self.properties.get("Metrics", ()) if "Expression" in one]
        if not expressions:
            return read[""]
        (expression,) = expressions
        found = Maths(metrics, window, self._period, read).evaluate(expression)
        assert isinstance(found, dict)
        return found

    @property
    def _period(self) -> int:
        (period,) = {period for *_, period in self.metrics()}
        return period

    def _window(self, now: float) -> Window:
        return Window(now - self.properties["EvaluationPeriods"] * self._period, now)

    def _breaches(self, value: float | None) -> bool:
        if value is None:
            return {"breaching": True, "notBreaching": False}[self.properties["TreatMissingData"]]
        return _COMPARED[self.properties["ComparisonOperator"]](value, self.properties["Threshold"])


def alarms_of(template: Template) -> dict[str, Alarm]:
    found = template.resources("AWS::CloudWatch::Alarm")
    named = [Alarm(id_, _name(properties, id_), properties) for id_, properties in found.items()]
    return {alarm.name: alarm for alarm in named}


def ringing(template: Template, metrics: Metrics, now: float) -> set[str]:
    """The names of all that ring at a moment, composite ones too."""
    alarms = alarms_of(template)
    rings = {alarm.id: alarm.rings(metrics, now) for alarm in alarms.values()}
    found = {alarm.name for alarm in alarms.values() if rings[alarm.id]}
    for id_, properties in template.resources("AWS::CloudWatch::CompositeAlarm").items():
        if _any_of(text(properties["AlarmRule"]), rings):
            found.add(_name(properties, id_))
    return found


def _any_of(rule: str, rings: Mapping[str, bool]) -> bool:
    """`(ALARM("<id.Arn>") OR ALARM("<id.Arn>"))`."""
    watched = re.findall(r'ALARM\("<(\w+)\.Arn>"\)', rule)
    assert rule == "(" + " OR ".join(f'ALARM("<{id_}.Arn>")' for id_ in watched) + ")"
    return any(rings[id_] for id_ in watched)


def _name(properties: Mapping[str, Any], id_: str) -> str:
    return str(properties["AlarmName"]).rpartition("-")[2] if "AlarmName" in properties else id_[:-8]


def _named(metric: Mapping[str, Any]) -> Named:
    dimensions = frozenset((one["Name"], text(one["Value"])) for one in metric["Dimensions"])
    return Named(metric["Namespace"], metric["MetricName"], dimensions)
