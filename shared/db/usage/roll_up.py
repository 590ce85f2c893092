"""Roll up the ledger into hours, and hours into days, as `pantheon_ops`.

An hour is rolled up when nothing can be posted into it any more. A row has the time of its insert, and is visible after
its commit. Postgres ends each transaction of a posting role after ten minutes (`transaction_timeout`, set by the
migration). So after 15 minutes, a row is visible or was rolled back.

One transaction changes the rows and `until`. Readers take the time before `until` from these rows, and the rest from
the ledger, so totals are always exact. Rows after `until` are ignored and made again. To make all rows again, delete
the row of `usage_rolled_up`.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Insert,
    ScalarSelect,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import ColumnClause, ColumnElement

from shared.db.compiler import compiled
from shared.db.engine import Database, Statement
from shared.db.operations.time_limit import GRACE_S
from shared.db.schema.columns import TOKENS
from shared.db.schema.tables import usage_days, usage_entries, usage_hours, usage_ledger, usage_rolled_up
from shared.db.usage.dimensions import DIMENSIONS

# The limit in seconds of a statement and, with the grace, of a batch. The first statement takes long, and that of an
# hour.
_STATEMENT_S = 20.0
# The longest transaction, and a margin for a slow server.
SETTLED_AFTER: ColumnClause[timedelta] = literal_column("interval '15 minutes'")
# 24 hours, because a day of the session's time zone may have 23.
_DAY: ColumnElement[timedelta] = literal_column("interval '24 hours'")
_HOUR: ColumnElement[timedelta] = literal_column("interval '1 hour'")

until = usage_rolled_up.c.until
# The transaction's start time. No snapshot of the transaction is older, so each statement means the same hour and sees
# all its posts.
_settled = func.date_trunc("hour", func.now() - SETTLED_AFTER, "UTC")
_next = until + _HOUR
_due = until < _settled
_sums = (*TOKENS, "amount_usd")


def _start() -> Statement:
    """Begin with the oldest hour of the ledger, the first time only. This reads the whole ledger."""
    oldest = select(func.date_trunc("hour", func.min(usage_ledger.c.created_at), "UTC")).scalar_subquery()
    first = select(literal(True), func.least(oldest, _settled)).where(~exists(select(usage_rolled_up)))
    return compiled(upsert(usage_rolled_up).from_select(["only_row", "until"], first).on_conflict_do_nothing())


def _hour() -> Statement:
    entry = usage_entries.c
    dimensions = [entry[name] for name in DIMENSIONS]
    sums = [func.count().filter(entry.kind == "post"), *(func.sum(entry[name]) for name in _sums)]
    rolled = select(_if_due(until), *dimensions, *sums).group_by(*dimensions)
    return compiled(_into(usage_hours, rolled.where(*_within(entry.created_at, until, _next))))


def _day() -> Statement:
    """Sum the day that ends with this hour, if one does."""
    hours, day = usage_hours.c, _next - _DAY
    dimensions = [hours[name] for name in DIMENSIONS]
    sums = [func.sum(hours[name]) for name in ("calls", *_sums)]
    ends = _midnight(_next) == _next
    rolled = select(_if_due(day), *dimensions, *sums).group_by(*dimensions)
    return compiled(_into(usage_days, rolled.where(*_within(hours.start, day, _next, ends))))


def _within(
    at: ColumnElement[datetime],
    since: ColumnElement[datetime],
    end: ColumnElement[datetime],
    *when: ColumnElement[bool],
) -> tuple[ColumnElement[bool], ...]:
    return at >= _if_due(since, *when), at < _if_due(end, *when)


def _if_due(moment: ColumnElement[datetime], *when: ColumnElement[bool]) -> ScalarSelect[datetime]:
    """Return the moment, or NULL if no hour is due. With a join, Postgres would need statistics of the new table, and
    would read the whole ledger for each hour."""
    return select(moment).where(_due, *when).scalar_subquery()


def _into(spans: Table, rolled: Select[Any]) -> Insert:
    return insert(spans).from_select(["start", *DIMENSIONS, "calls", *_sums], rolled)


def _clear(spans: Table, since: ColumnElement[datetime]) -> Statement:
    return compiled(delete(spans).where(spans.c.start >= _if_due(since)))


def _midnight(moment: ColumnElement[datetime]) -> ColumnElement[datetime]:
    return func.date_trunc("day", moment, "UTC")


# How long a statement may wait for a lock, and how long it may run.
_LIMITS = compiled(
    select(
        *(
            func.set_config(f"{name}_timeout", bindparam(f"b_{name}", type_=Text), True)
            for name in ("lock", "statement")
        )
    )
)
# Rolls up one hour, if one is due. A concurrent run waits for the lock, and then finds the next hour.
_BATCH = (
    _start(),
    compiled(select(until).where(_due).with_for_update()),
    _clear(usage_hours, until),
    _clear(usage_days, _midnight(until)),
    _hour(),
    _day(),
    compiled(update(usage_rolled_up).where(_due).values(until=_next).returning(until)),
)


def roll_up(
    db: Database, batches: int = 24, *, patience_s: float = 5.0, seconds: float = _STATEMENT_S
) -> datetime | None:
    """Roll up at most `batches` hours, each in its own transaction, and return the hour that was reached; None if none
    was due.

    Safe to run concurrently and to interrupt. Raises DatabaseUnavailable, also if an hour takes longer than `seconds`
    or a lock longer than `patience_s`. Hours that were rolled up before stay."""
    reached: datetime | None = None
    limits = {
        f"b_{name}": f"{max(1, int(most * 1000))}ms" for name, most in (("lock", patience_s), ("statement", seconds))
    }
    for _ in range(batches):
        work = [(_LIMITS, limits), *((statement, {}) for statement in _BATCH)]
        moved = db.run_all(None, *work, answer_s=seconds + GRACE_S)[-1]
        if not moved:
            break
        reached = moved[0]["until"]
    return reached
