"""Metric maths. An expression is read by Python's own grammar, of which it is a part.

Two series meet period by period. If one of them has no data point in a period, the result has none. A division by zero
gives no data point.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from tests.support.cloudwatch.metrics import Metrics, Series, Window


@dataclass(frozen=True)
class Several:
    """The series that a search finds, by their labels."""

    series: Mapping[str, Series]


Value = float | Series | Several
_OPERATORS: Mapping[type[ast.operator | ast.cmpop], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.GtE: lambda one, other: float(one >= other),
    ast.Gt: lambda one, other: float(one > other),
    ast.LtE: lambda one, other: float(one <= other),
    ast.Lt: lambda one, other: float(one < other),
}


@dataclass(frozen=True)
class Maths:
    """`series` are the metrics that an expression names, by their ids, each read by `period` seconds."""

    metrics: Metrics
    window: Window
    period: float
    series: Mapping[str, Series] = field(default_factory=dict)

    def evaluate(self, expression: str) -> Value:
        return self._value(ast.parse(expression, mode="eval").body)

    def _value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self.series[name]
            case ast.BinOp(left=left, op=op, right=right):
                return _each(_OPERATORS[type(op)], self._value(left), self._value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _each(_OPERATORS[type(op)], self._value(left), self._value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
        raise AssertionError(f"Nobody has said how to work out {ast.unparse(node)}")

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        match name, arguments:
            case "SEARCH", [ast.Constant(value=str() as wanted), ast.Constant(value=str() as statistic), period]:
                seconds = self._value(period)
                assert isinstance(seconds, float)
                return Several(self.metrics.search(wanted, statistic, seconds, self.window))
            case "FILL", [filled, by]:
                return _filled(self._value(filled), self._value(by), self.window.periods(self.period))
            case "DIFF", [of]:
                return _differences(self._value(of))
            case "IF", [condition, then, otherwise]:
                return self._choose(self._value(condition), self._value(then), self._value(otherwise))
        raise AssertionError(f"Nobody has said how to work out {name}")

    def _choose(self, condition: Value, then: Value, otherwise: Value) -> Value:
        """Period by period, and only what is chosen must be there."""
        assert isinstance(condition, dict)
        found = {moment: _at(then if holds else otherwise, moment) for moment, holds in condition.items()}
        return {moment: value for moment, value in found.items() if value is not None}


def _at(value: Value, moment: float) -> float | None:
    assert not isinstance(value, Several)
    return value if isinstance(value, float) else value.get(moment)


def _each(operate: Callable[[float, float], float], one: Value, other: Value) -> Value:
    if isinstance(one, float) and isinstance(other, float):
        return operate(one, other)
    result: Series = {}
    for moment in sorted({moment for value in (one, other) if isinstance(value, dict) for moment in value}):
        first, second = _at(one, moment), _at(other, moment)
        if first is not None and second is not None:
            with suppress(ZeroDivisionError):
                result[moment] = operate(first, second)
    return result


def _filled(value: Value, by: Value, periods: list[float]) -> Value:
    assert isinstance(by, float)
    return {moment: by if (found := _at(value, moment)) is None else found for moment in periods}


def _differences(value: Value) -> Value:
    """From each data point to the one before it."""
    if isinstance(value, Several):
        return Several({label: _steps(series) for label, series in value.series.items()})
    assert isinstance(value, dict)
    return _steps(value)


def _steps(series: Series) -> Series:
    return {after: series[after] - series[before] for before, after in pairwise(sorted(series))}
