"""Read the cost of this month over all tenants from the ledger.

Money that is shown is read from committed rows in one statement, and never added up elsewhere. A call belongs to the
month (UTC) in which its hold was taken, as in budgets. Most of the month is read as it was rolled up; the ledger is
read only beyond that, and for holds of another month. So the figures are exact at any moment, and reading them takes
the same time for any size of the ledger.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Date,
    FromClause,
    Select,
    Table,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from shared.db.compiler import compiled
from shared.db.engine import Database, Statement
from shared.db.operations.invariants import LATELY, SPENT, first_id
from shared.db.operations.time_limit import read_within
from shared.db.schema.tables import (
    PLATFORM,
    budget_limits,
    usage_days,
    usage_entries,
    usage_hours,
    usage_rolled_up,
)
from shared.domain.money import TOKEN_CLASSES, ZERO, Usage

_SUSPENSE = "suspense"
_KEYS = ("model_alias", "purpose", "account", "reason", "provider")
_now = func.timezone("UTC", func.now())
_month = cast(func.date_trunc("month", _now), Date)


def _ledger() -> FromClause:
    """Select what was posted this month, and into suspense ever, by the month of the hold.

    Days and hours are read as far as they are rolled up, and the ledger's rows beyond. The few rows of another month
    than they were posted in are read once more: out of that month and into their own.
    """
    rolled_up = select(func.max(usage_rolled_up.c.until)).scalar_subquery()
    today = select(func.date_trunc("day", func.max(usage_rolled_up.c.until), "UTC")).scalar_subquery()
    known = select(func.coalesce(func.max(usage_rolled_up.c.until), literal_column("'-infinity'::timestamptz")))
    day, hour, row = usage_days.c.start, usage_hours.c.start, usage_entries.c.created_at
    month = func.date_trunc("month", func.now(), "UTC")
    moved = usage_entries.c.period != _posted_in(row)
    entries = union_all(
        _sums(usage_days, _posted_in(day)).where(day < today, day >= month),
        # Of the months before, for what is still in suspense.
        _sums(usage_days, _posted_in(day)).where(day < today, day < month, usage_days.c.account == _SUSPENSE),
        _sums(usage_hours, _posted_in(hour)).where(hour >= today, hour < rolled_up),
        _sums(usage_entries, _posted_in(row)).where(row >= known.scalar_subquery()),
        _sums(usage_entries, _posted_in(row), sign=-1).where(moved),
        _sums(usage_entries, usage_entries.c.period).where(moved),
    )
    return entries.subquery("ledger")


def _sums(of: Table, period: ColumnElement[date], sign: int = 1) -> Select[Any]:
    names = (*(of.c[name] for name in _KEYS), period.label("period"))
    return select(*names, *((of.c[name] * sign).label(name) for name in ("amount_usd", *TOKEN_CLASSES)))


def _posted_in(at: ColumnElement[datetime]) -> ColumnElement[date]:
    """The month, as the index of entries of another one has it."""
    return cast(func.date_trunc("month", func.timezone("UTC", at)), Date)


def _entries() -> Statement:
    """This month's, and whatever is still in suspense of the months before."""
    ledger = _ledger()
    row = ledger.c
    keys = [row[name] for name in _KEYS]
    of_month = row.period == _month
    zero = literal(0)
    return compiled(
        select(
            *keys,
            func.coalesce(func.sum(row.amount_usd).filter(of_month), zero).label("usd"),
            func.coalesce(func.sum(row.amount_usd).filter(row.account == _SUSPENSE), zero).label("suspense_usd"),
            *(func.coalesce(func.sum(row[name]).filter(of_month), zero).label(name) for name in TOKEN_CLASSES),
        )
        .where(or_(of_month, row.account == _SUSPENSE))
        .group_by(*keys)
        .order_by(*keys)
    )


_CLOCK = compiled(
    select(
        _now.label("moment"),
        select(budget_limits.c.limit_usd).where(budget_limits.c.payer == PLATFORM).scalar_subquery().label("limit_usd"),
    )
)
_ENTRIES = _entries()
# By how much budgets and ledger are apart, over all payers, this month and the last.
_DRIFT = compiled(
    text(
        f"""WITH drifted AS ({LATELY[SPENT]})
        SELECT coalesce(sum(abs(coalesce(spent_usd, 0) - coalesce(posted, 0))), 0) AS usd FROM drifted"""  # noqa: S608
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The cost of one alias, purpose, account, reason and provider. `suspense_usd` is of all months, and zero in other
    accounts."""

    model_alias: str
    purpose: str
    account: str
    reason: str
    provider: str
    usd: Decimal
    suspense_usd: Decimal
    usage: Usage


@dataclass(frozen=True, slots=True)
class Month:
    """`moment` is the database's clock in UTC, without its zone. `limit_usd` is the whole platform's."""

    moment: datetime
    entries: Sequence[Entry]
    limit_usd: Decimal | None
    drift_usd: Decimal

    @property
    def platform_usd(self) -> Decimal:
        """The platform's spending, in USD."""
        return sum((entry.usd for entry in self.entries if entry.account == PLATFORM), ZERO)


def load_month(db: Database, seconds: float) -> Month:
    """`db` is in the role for operations. Raises DatabaseUnavailable where one of its three statements takes a third of
    `seconds`."""
    lately = {"b_since": first_id(time.time())}
    rows, (clock,), drift = read_within(db, seconds / 3, (_ENTRIES, {}), (_CLOCK, {}), (_DRIFT, lately))
    entries = [
        Entry(
            **{name: row[name] for name in (*_KEYS, "usd", "suspense_usd")},
            usage=Usage(**{name: int(row[name]) for name in TOKEN_CLASSES}),
        )
        for row in rows
    ]
    return Month(clock["moment"], entries, clock["limit_usd"], drift[0]["usd"])
