"""Write the logs and metrics of an invocation. Only functions call this; `shared` logs through the standard library.

No line has a prompt, a reply, a token or a secret. Errors are described by type, SQLSTATE and place. Metrics are
emitted after the commit of their values, and have few dimensions with few values each.
"""

import json
import logging
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from shared.domain.money import format_usd
from shared.domain.outcome import Bill, CallFigures, TurnOutcome
from shared.errors import JournalUnavailable, PantheonError, TurnConflict
from shared.names import ALARM_SERIES, METRICS_NAMESPACE, SERVICE, Dimension, Metric
from shared.settings import stage_settings

_DEEPEST = 8
# From this status on, an answer is the server's failure.
_FAILED = 500

# Dimensions, and the values of the metrics that have them.
Group = tuple[Mapping[Dimension, str], Mapping[Metric, float]]

# The function's name in infra_cdk/entries.py. On AWS, the service and the stage precede it in the full name.
_function = SERVICE

_as_json = json.JSONEncoder(separators=(",", ":")).encode


@cache
def _logger() -> Logger:
    """Return Powertools' logger. `shared` and `functions` log through its handler, as JSON on standard output."""
    logger = Logger(service=SERVICE, level="INFO", log_uncaught_exceptions=False)
    for name in ("shared", "functions"):
        below = logging.getLogger(name)
        below.handlers = list(logger.handlers)
        below.setLevel(logging.INFO)
        below.propagate = False
    # Its warnings have the text of errors, which may hold data. It also raises these errors.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    return logger


def begin(request_id: str, context: Any) -> None:
    """Set the gateway's request id as the correlation id of every log line of this invocation."""
    global _function  # noqa: PLW0603 a process runs one function
    _function = context.function_name.rpartition("-")[2]
    _logger().append_keys(
        correlation_id=request_id, function_request_id=context.aws_request_id, function=context.function_name
    )


def describe(error: BaseException | None) -> dict[str, object] | None:
    """Describe an error by type, SQLSTATE and frames (innermost last), without its text, which may hold data."""
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
    """Log an error that ends an invocation or a part of it, without its text."""
    _logger().error(message, extra={"cause": describe(error), **fields})


def emit(outcome: TurnOutcome) -> None:
    """Log the faults that a turn survived, and emit its metrics and its bill. Call it after the turn's commit."""
    for failed, error in outcome.faults:
        report(failed, error, turn_id=str(outcome.turn_id))
    groups: list[Group] = []
    # The metrics of the whole turn have no dimensions, because a CloudWatch alarm cannot sum across dimensions.
    whole: dict[Metric, float] = {}
    if outcome.published:
        groups.append(({Dimension.STATUS: outcome.status}, {Metric.TURNS: 1}))
        whole |= {Metric.TURN_DURATION: outcome.lasted_s, Metric.TURN_OVERHEAD: outcome.overhead_s}
        whole[Metric.FALLBACK_USED] = len(outcome.fallbacks)
    if outcome.abandoned and outcome.published:
        whole[Metric.ABANDONED_TURNS] = 1
    if outcome.handed_over:
        whole[Metric.HANDED_OVER_TURNS] = 1
    if outcome.faults:
        whole[Metric.UNEXPECTED_ERRORS] = len(outcome.faults)
        groups.append(_failures(len(outcome.faults)))
    if outcome.calls:
        whole |= {Metric.CALLS: len(outcome.calls), Metric.UNKNOWN_CALLS: _unknown(outcome.calls)}
    if whole:
        groups.append(({}, whole))
    groups += _by_alias_and_purpose(outcome.calls)
    for component, used in Counter(fallback.component for fallback in outcome.fallbacks).items():
        groups.append(({Dimension.COMPONENT: component}, {Metric.FALLBACK_USED: used}))
    _put(groups, _bill(outcome.turn_id, outcome.bill) if outcome.bill else None)


def count(metric: Metric, number: int = 1) -> None:
    _put([({}, {metric: number})])


def measure(values: Mapping[Metric, float], dimensions: Mapping[Dimension, str] | None = None) -> None:
    """Emit gauges on one line, for the deployment or for the part that `dimensions` name."""
    _put([(dimensions or {}, values)])


def count_failure() -> None:
    """Count a failure that the handler does not raise. Lambda counts the raised ones."""
    _put([_failures(1)])


def count_success() -> None:
    """Count a scheduled run that did all of its work. An alarm rings if this metric is missing."""
    _put([({Dimension.FUNCTION: _function}, {Metric.SUCCESSFUL_RUNS: 1})])


def count_error(error: Exception) -> None:
    """Count an error that a client gets, if a metric exists for it. A status of 500 or above is also a failure."""
    groups: list[Group] = []
    if not isinstance(error, PantheonError):
        groups.append(({}, {Metric.UNEXPECTED_ERRORS: 1}))
    elif isinstance(error, TurnConflict):
        groups.append(({}, {Metric.TURN_CONFLICTS: 1}))
    elif isinstance(error, JournalUnavailable):
        groups.append(({}, {Metric.JOURNAL_UNAVAILABLE: 1}))
    if not isinstance(error, PantheonError) or error.status >= _FAILED:
        groups.append(_failures(1))
    _put(groups)


def _failures(number: int) -> Group:
    return {Dimension.FUNCTION: _function}, {Metric.FAILURES: number}


def _bill(turn_id: UUID, bill: Bill) -> dict[str, str]:
    """Return the turn's cost for log queries by tenant or session, which are too many for dimensions."""
    return {
        "tenant_id": bill.tenant_id,
        "session_id": str(bill.session_id),
        "turn_id": str(turn_id),
        "total_usd": format_usd(bill.total_usd),
        "tenant_usd": format_usd(bill.tenant_usd),
    }


def _by_alias_and_purpose(calls: Sequence[CallFigures]) -> list[Group]:
    groups: dict[tuple[str, str], list[CallFigures]] = {}
    for call in calls:
        groups.setdefault((call.model_alias, call.purpose), []).append(call)
    return [
        ({Dimension.MODEL_ALIAS: alias, Dimension.PURPOSE: purpose}, _figures(group))
        for (alias, purpose), group in groups.items()
    ]


def _figures(calls: Sequence[CallFigures]) -> dict[Metric, float]:
    return {
        Metric.CALLS: len(calls),
        Metric.CALL_DURATION: sum(call.seconds for call in calls) / len(calls),
        Metric.INPUT_TOKENS: sum(call.usage.prompt_tokens for call in calls),
        Metric.OUTPUT_TOKENS: sum(call.usage.output_tokens + call.usage.reasoning_tokens for call in calls),
        Metric.UNKNOWN_CALLS: _unknown(calls),
    }


def _unknown(calls: Sequence[CallFigures]) -> int:
    return sum(call.status == "unknown" for call in calls)


_UNITS = {
    Metric.TURN_DURATION: MetricUnit.Seconds,
    Metric.TURN_OVERHEAD: MetricUnit.Seconds,
    Metric.CALL_DURATION: MetricUnit.Seconds,
    Metric.OLDEST_ACTIVE_TURN: MetricUnit.Seconds,
    # CloudWatch has no unit for USD.
    **dict.fromkeys(
        (
            Metric.MONTH_USD,
            Metric.MONTH_FORECAST_USD,
            Metric.HOUR_USD,
            Metric.USUAL_HOUR_USD,
            Metric.SUSPENSE_USD,
            Metric.LEDGER_DRIFT_USD,
        ),
        MetricUnit.NoUnit,
    ),
    Metric.PLATFORM_BUDGET_USED: MetricUnit.Percent,
}


def _put(groups: Iterable[Group], fields: Mapping[str, str] | None = None) -> None:
    """Write the groups as EMF lines on standard output, the first line with `fields`.

    A line has each name once. So groups share a line if they have the same value for every name that both have."""
    values = stage_settings()
    service = f"{SERVICE}-{values.stage}"
    if values.metrics == "alarms":
        groups = _alarmed(groups)
    lines: list[tuple[list[str], dict[str, Any]]] = []
    for dimensions, measured in groups:
        said: dict[str, Any] = {"service": service}
        said.update(dimensions.items())
        said.update((metric, [float(value)]) for metric, value in measured.items())
        directive = _directive(("service", *dimensions), tuple(measured))
        for directives, line in lines:
            if all(line.get(name, of) == of for name, of in said.items()):
                directives.append(directive)
                line.update(said)
                break
        else:
            lines.append(([directive], said))
    if lines and fields:
        lines[0][1].update(fields)
    now = int(time.time() * 1000)
    sys.stdout.write("".join(_line(now, directives, line) for directives, line in lines))


def _alarmed(groups: Iterable[Group]) -> list[Group]:
    """Return only the series that alarms read, because CloudWatch charges for every series."""
    kept: list[Group] = []
    for dimensions, measured in groups:
        read = {metric: value for metric, value in measured.items() if ALARM_SERIES.get(metric) == tuple(dimensions)}
        if read:
            kept.append((dimensions, read))
    return kept


def _line(now: int, directives: Sequence[str], members: Mapping[str, Any]) -> str:
    declared = f'"_aws":{{"Timestamp":{now},"CloudWatchMetrics":[{",".join(directives)}]}}'
    return f"{{{declared},{_as_json(members)[1:]}\n"


@cache
def _directive(dimensions: tuple[str, ...], metrics: tuple[Metric, ...]) -> str:
    """Return the EMF directive of a group in Powertools' form. It is the same for every turn, so it is cached."""
    declared = {metric.value: {"Unit": _UNITS.get(metric, MetricUnit.Count).value} for metric in metrics}
    provider = AmazonCloudWatchEMFProvider(namespace=METRICS_NAMESPACE)
    written = provider.serialize_metric_set(declared, dict.fromkeys(dimensions, ""), {})
    return _as_json(written["_aws"]["CloudWatchMetrics"][0])
