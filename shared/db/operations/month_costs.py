"""Read the cost of this month over all tenants from the ledger.

The figures come from committed rows in one statement. A call belongs to the month (UTC) of its hold, as in budgets.
Most of the month is read from rolled-up rows; the ledger is read only for newer rows and holds of another month. So the
figures are exact, and reading time does not depend on the ledger's size.
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
    """Select the posts of this month, and all posts into suspense, by the month of the hold.

    Days and hours are read up to the last roll-up, and the ledger's rows after it. The few rows whose month differs
    from their post's are subtracted there, and added to their own month."""
    rolled_up = select(func.max(usage_rolled_up.c.until)).scalar_subquery()
    today = select(func.date_trunc("day", func.max(usage_rolled_up.c.until), "UTC")).scalar_subquery()
    known = select(func.coalesce(func.max(usage_rolled_up.c.until), literal_column("'-infinity'::timestamptz")))
    day, hour, row = usage_days.c.start, usage_hours.c.start, usage_entries.c.created_at
    month = func.date_trunc("month", func.now(), "UTC")
    moved = usage_entries.c.period != _posted_in(row)
    entries = union_all(
        _sums(usage_days, _posted_in(day)).where(day < today, day >= month),
        # Earlier months, for amounts that are still in suspense.
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
    """Return the month in the form that the index of entries of another month has."""
    return cast(func.date_trunc("month", func.timezone("UTC", at)), Date)


def _entries() -> Statement:
    """Sum this month's rows, and rows of earlier months that are still in suspense."""
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
# The difference of budgets and ledger over all payers, this month and the last.
_DRIFT = compiled(
    text(
        f"""WITH drifted AS ({LATELY[SPENT]})
        SELECT coalesce(sum(abs(coalesce(spent_usd, 0) - coalesce(posted, 0))), 0) AS usd FROM drifted"""  # noqa: S608
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The cost of one alias, purpose, account, reason and provider. `suspense_usd` covers all months, and is zero for
    other accounts."""

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
        return sum((entry.usd for entry in self.entries if entry.account == PLATFORM), ZERO)


def load_month(db: Database, seconds: float) -> Month:
    """`db` has the role for operations. Raises DatabaseUnavailable if one of the three statements takes a third of
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
