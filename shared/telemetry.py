"""Logs and metrics of an invocation. Only functions call this; everything below logs through the standard library.

The rule this file protects: no prompt, reply, token or secret in any line. Errors are described by type, SQLSTATE and
place. Metrics are emitted after the commit they tell of, and have few dimensions, each with few values.
"""

import logging
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from shared.domain.money import Usage, format_usd
from shared.domain.outcome import Bill, CallFigures, TurnOutcome
from shared.errors import JournalUnavailable, PantheonError, TurnConflict
from shared.names import METRICS_NAMESPACE, SERVICE, Dimension, Metric
from shared.settings import stage_settings

_DEEPEST = 8


@cache
def _logger() -> Logger:
    """Powertools' logger; `shared` and `functions` log through its handler, as JSON on standard output."""
    logger = Logger(service=SERVICE, level="INFO", log_uncaught_exceptions=False)
    for name in ("shared", "functions"):
        below = logging.getLogger(name)
        below.handlers = list(logger.handlers)
        below.setLevel(logging.INFO)
        below.propagate = False
    # It warns with the text of errors, which may hold data, and raises them as well.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    return logger


def begin(request_id: str, context: Any) -> None:
    """Every log line of this invocation carries the gateway's request id as its correlation id."""
    logger = _logger()
    logger.structure_logs(append=True, function_request_id=context.aws_request_id, function=context.function_name)
    logger.set_correlation_id(request_id)


def describe(error: BaseException | None) -> dict[str, object] | None:
    """An error without its text, which may hold data: type, SQLSTATE, and where it was raised, innermost last."""
    if error is None:
        return None
    frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
    described: dict[str, object] = {
        "type": type(error).__name__,
        "at": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if sqlstate := getattr(error, "sqlstate", None):
        described["sqlstate"] = sqlstate
    if error.__cause__ is not None:
        described["cause"] = describe(error.__cause__)
    return described


def report(message: str, error: BaseException, **fields: object) -> None:
    """Log an error that ends an invocation, or a part of it, without its text."""
    _logger().error(message, extra={"cause": describe(error), **fields})


def emit(outcome: TurnOutcome) -> None:
    """The metrics of a turn, from its outcome, after its commit."""
    if outcome.published:
        _put({Dimension.STATUS: outcome.status}, {Metric.TURNS: 1})
        # An alarm cannot search: what it reads is without dimensions, too.
        times = {Metric.TURN_DURATION: outcome.seconds, Metric.TURN_OVERHEAD: outcome.overhead_s}
        _put({}, {**times, Metric.FALLBACK_USED: len(outcome.fallbacks)})
        if outcome.abandoned:
            count(Metric.ABANDONED_TURNS)
    if outcome.handed_over:
        count(Metric.HANDED_OVER_TURNS)
    if outcome.bill is not None:
        _log_bill(outcome.turn_id, outcome.bill)
    groups: dict[tuple[str, str], list[CallFigures]] = {}
    for call in outcome.calls:
        groups.setdefault((call.model_alias, call.purpose), []).append(call)
    if outcome.calls:
        unknown = sum(call.status == "unknown" for call in outcome.calls)
        _put({}, {Metric.CALLS: len(outcome.calls), Metric.UNKNOWN_CALLS: unknown})
    for (alias, purpose), calls in groups.items():
        _put({Dimension.MODEL_ALIAS: alias, Dimension.PURPOSE: purpose}, _figures(calls))
    for fallback in outcome.fallbacks:
        _put({Dimension.COMPONENT: fallback.component}, {Metric.FALLBACK_USED: 1})


def count(metric: Metric, number: int = 1) -> None:
    _put({}, {metric: number})


def measure(values: Mapping[Metric, float], dimensions: Mapping[Dimension, str] | None = None) -> None:
    """Gauges on one line, of the whole deployment or of a part of it."""
    _put(dimensions or {}, values)


def count_error(error: PantheonError) -> None:
    """Count the refusals that operations watch."""
    if isinstance(error, TurnConflict):
        count(Metric.TURN_CONFLICTS)
    elif isinstance(error, JournalUnavailable):
        count(Metric.JOURNAL_UNAVAILABLE)


def _log_bill(turn_id: UUID, bill: Bill) -> None:
    """What a query over the log adds up by tenant and by session, which are too many for dimensions."""
    _logger().info(
        "turn billed",
        extra={
            "tenant_id": bill.tenant_id,
            "session_id": str(bill.session_id),
            "turn_id": str(turn_id),
            "total_usd": format_usd(bill.total_usd),
            "tenant_usd": format_usd(bill.tenant_usd),
        },
    )


def _figures(calls: list[CallFigures]) -> dict[Metric, float]:
    usage = sum((call.usage for call in calls), Usage())
    return {
        Metric.CALLS: len(calls),
        Metric.CALL_DURATION: sum(call.seconds for call in calls) / len(calls),
        Metric.INPUT_TOKENS: usage.prompt_tokens,
        Metric.OUTPUT_TOKENS: usage.output_tokens + usage.reasoning_tokens,
        Metric.UNKNOWN_CALLS: sum(call.status == "unknown" for call in calls),
    }


_UNITS = {
    Metric.TURN_DURATION: MetricUnit.Seconds,
    Metric.TURN_OVERHEAD: MetricUnit.Seconds,
    Metric.CALL_DURATION: MetricUnit.Seconds,
    Metric.OLDEST_ACTIVE_TURN: MetricUnit.Seconds,
    # CloudWatch has no unit for money.
    **dict.fromkeys(
        (Metric.MONTH_USD, Metric.MONTH_FORECAST_USD, Metric.SUSPENSE_USD, Metric.LEDGER_DRIFT_USD), MetricUnit.NoUnit
    ),
    Metric.PLATFORM_BUDGET_USED: MetricUnit.Percent,
}


def _put(dimensions: Mapping[Dimension, str], values: Mapping[Metric, float]) -> None:
    """One EMF line on standard output."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE, service=f"{SERVICE}-{stage_settings().stage}")
    for dimension, name in dimensions.items():
        metrics.add_dimension(dimension.value, name)
    for metric, value in values.items():
        metrics.add_metric(metric.value, _UNITS.get(metric, MetricUnit.Count), value)
    metrics.flush_metrics()
