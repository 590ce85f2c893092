"""Settlements: what is released and spent while somebody else has the month's row, and waits for nobody.

The rule this file protects: whoever takes a payer's settlements adds them to the payer's month in the same statement,
and has locked the month's row before, where there is one. So each counts once, in one of the two places, whenever it is
looked; and only holds queue for the row, which have to. A settlement never makes a month come to more than its holds
did, but for what the platform bears without one: so who does not see the latest refuses too early, and never too late.
"""

import time
from datetime import date
from typing import Any

from sqlalchemy import CTE, Select, and_, bindparam, delete, exists, func, insert, or_, select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import ColumnElement

from shared.db.engine import Database, Statement
from shared.db.limited import LIMITS, limits, read_within
from shared.db.tables import budget_settlements, budgets

_COLUMNS = ["payer", "period", "held_usd", "spent_usd"]


def settle(totals: CTE) -> tuple[CTE, CTE]:
    """Add `payer`, `period`, `held_usd` and `spent_usd` to their months: to the rows that nobody has just now, and to
    those that are not there yet, and beside the others."""
    of_month = (budgets.c.payer == totals.c.payer, budgets.c.period == totals.c.period)
    month = select(budgets.c.payer, budgets.c.period).select_from(totals).join(budgets, and_(*of_month))
    free = month.with_for_update(of=budgets, key_share=True, skip_locked=True).cte("free")
    mine = exists().where(free.c.payer == totals.c.payer, free.c.period == totals.c.period)
    at_once = or_(mine, ~exists(select(budgets.c.payer).where(*of_month)))
    beside = insert(budget_settlements).from_select(_COLUMNS, select(totals).where(~at_once))
    return add_to_month(select(totals).where(at_once)).cte("settled"), beside.cte("settled_beside")


def take(payer: ColumnElement[str], period: ColumnElement[date], *conditions: ColumnElement[bool]) -> CTE:
    """Lock the payer's month and take its settlements, where the conditions hold: one row of `held_usd` and
    `spent_usd`, which may be zero."""
    mine = (budgets.c.payer == payer, budgets.c.period == period, *conditions)
    month = select(budgets.c.payer).where(*mine).with_for_update(key_share=True).cte("month")
    locked = select(func.count()).select_from(month).scalar_subquery() >= 0
    settlements = budget_settlements.c
    taken = (
        delete(budget_settlements)
        .where(settlements.payer == payer, settlements.period == period, locked, *conditions)
        .returning(settlements.held_usd, settlements.spent_usd)
        .cte("taken")
    )
    sums = (func.coalesce(func.sum(taken.c[name]), 0).label(name) for name in ("held_usd", "spent_usd"))
    return select(*sums).cte("settlements")


def add_to_month(month: Select[Any], *, most: ColumnElement[Any] | None = None) -> Insert:
    """Add rows of payer, period, held and spent to the months that they are of, as far as a month then comes to `most`
    at most."""
    added = upsert(budgets).from_select(_COLUMNS, month)
    held = budgets.c.held_usd + added.excluded.held_usd
    spent = budgets.c.spent_usd + added.excluded.spent_usd
    return added.on_conflict_do_update(
        index_elements=["payer", "period"],
        set_={"held_usd": held, "spent_usd": spent},
        where=None if most is None else held + spent <= most,
    )


_MONTH = (bindparam("b_payer", type_=budgets.c.payer.type), bindparam("b_period", type_=budgets.c.period.type))
_WAITING = Statement(
    select(budget_settlements.c.payer.label("b_payer"), budget_settlements.c.period.label("b_period")).distinct()
)


def _count_in() -> Statement:
    settlements = take(*_MONTH)
    sums = (settlements.c.held_usd, settlements.c.spent_usd)
    return Statement(add_to_month(select(*_MONTH, *sums).where(or_(*(usd != 0 for usd in sums)))))


_COUNT_IN = _count_in()


def count_in(operations: Database, seconds: float) -> None:
    """Add to the months, payer by payer, what no hold came by to take, for so many seconds at most. Raises
    DatabaseUnavailable where somebody has a month's row for all of that time."""
    until = time.monotonic() + seconds
    for month in read_within(operations, seconds, (_WAITING, {}))[0]:
        left = until - time.monotonic()
        if left <= 0:
            return
        operations.run_all(None, (LIMITS, limits(left)), (_COUNT_IN, month))
