"""Emit the cost of the month and of the hour as gauges. They are read from the ledger, so a killed process loses none.

A gauge has at most one dimension besides `service`, and its values add up to the total. Each alias, provider, purpose,
account, reason and class of tokens is one series. Tenants are no dimension, because there are too many. The most
expensive tenants are log lines.
"""

import calendar
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from shared.db.engine import Database
from shared.db.operations.allowances import load_allowances
from shared.db.operations.hour_costs import Hours, load_hours
from shared.db.operations.month_costs import Entry, Month, load_month
from shared.domain.money import ZERO, Usage, format_usd
from shared.names import Dimension, Metric

logger = logging.getLogger(__name__)

Gauge = tuple[Mapping[Metric, float], Mapping[Dimension, str]]

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
# How many tenants have a log line each minute.
_MOST_EXPENSIVE: Final = 10
# An account without an entry costs nothing, and is to be seen to.
_ACCOUNTS: Final = ("tenant", "platform", "suspense")
KEYS: Final[Mapping[Dimension, Callable[[Entry], str]]] = {
    Dimension.MODEL_ALIAS: lambda entry: entry.model_alias,
    Dimension.PURPOSE: lambda entry: entry.purpose,
    Dimension.ACCOUNT: lambda entry: entry.account,
    Dimension.REASON: lambda entry: entry.reason,
    Dimension.PROVIDER: lambda entry: entry.provider,
}


def load_month_gauges(db: Database, seconds: float) -> Iterable[Gauge]:
    """Return the gauges of the month; `db` is in the role for operations, here and below. Raises DatabaseUnavailable
    after `seconds`, as all of these."""
    return gauges(load_month(db, seconds))


def load_hour_gauges(db: Database, seconds: float) -> Iterable[Gauge]:
    """Return the gauges of the hour."""
    return [hour_gauge(load_hours(db, seconds))]


def log_allowances(db: Database, seconds: float) -> None:
    """Log what the most expensive tenants have drawn from their allowance."""
    for each in load_allowances(db, _MOST_EXPENSIVE, seconds):
        drawn = {"drawn_usd": format_usd(each.drawn_usd), "drawn_suspense_usd": format_usd(each.suspense_usd)}
        logger.info("allowance drawn", extra={"tenant_id": each.tenant_id, "month": f"{each.period:%Y-%m}", **drawn})


def gauges(month: Month) -> Iterator[Gauge]:
    """What is emitted of a month: values, and the dimensions that they are of."""
    for dimension in KEYS:
        for name, usd in totals(month, dimension).items():
            yield {Metric.MONTH_USD: float(usd)}, {dimension: name}
    for name, number in tokens(month).as_dict().items():
        yield {Metric.MONTH_TOKENS: number}, {Dimension.TOKEN_CLASS: name.removesuffix("_tokens")}
    whole = {
        Metric.MONTH_FORECAST_USD: float(forecast(month)),
        Metric.SUSPENSE_USD: float(suspense(month)),
        Metric.LEDGER_DRIFT_USD: float(month.drift_usd),
    }
    used = budget_used(month)
    yield whole | ({Metric.PLATFORM_BUDGET_USED: float(used)} if used is not None else {}), {}


def hour_gauge(hours: Hours) -> Gauge:
    """Emit both on one line, so that an alarm compares them at the same moment."""
    return {Metric.HOUR_USD: float(hours.now_usd), Metric.USUAL_HOUR_USD: float(hours.usual_usd)}, {}


def totals(month: Month, dimension: Dimension) -> dict[str, Decimal]:
    """USD of the month so far, by alias, purpose, account, reason or provider."""
    found = dict.fromkeys(_ACCOUNTS, ZERO) if dimension is Dimension.ACCOUNT else {}
    for entry in month.entries:
        name = KEYS[dimension](entry)
        found[name] = found.get(name, ZERO) + entry.usd
    return found


def total(month: Month) -> Decimal:
    """USD of the month so far, with what is in suspense."""
    return sum((entry.usd for entry in month.entries), ZERO)


def tokens(month: Month) -> Usage:
    return sum((entry.usage for entry in month.entries), Usage())


def suspense(month: Month) -> Decimal:
    """USD in suspense, of whichever month."""
    return sum((entry.suspense_usd for entry in month.entries), ZERO)


def forecast(month: Month) -> Decimal:
    """USD at the month's end, if it goes on as it has gone so far; its first hour counts as an hour."""
    now = month.moment
    days = calendar.monthrange(now.year, now.month)[1]
    begun = (now - datetime(now.year, now.month, 1)).total_seconds()
    return total(month) * days * _DAY_S / Decimal(max(begun, _HOUR_S))


def budget_used(month: Month) -> Decimal | None:
    """Per cent of the platform's limit that is spent; None without a limit. A limit of zero is used up."""
    if month.limit_usd is None:
        return None
    return 100 * month.platform_usd / month.limit_usd if month.limit_usd else Decimal(100)
