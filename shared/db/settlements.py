"""Settlements: what is held without a limit, released or spent while somebody else has the month's row, and waits for
nobody.

The rule this file protects: whoever takes a payer's settlements has locked the month's row before, and adds them to it
in the same statement. So each counts once, in one of the two places, whenever it is looked. Under a limit a hold waits
for the row, and is never beside it: there a settlement makes a month come to no more than its holds did, but for what
the platform bears without one, so who does not see the latest refuses too early, and never too late.
"""

import time
from typing import Any

from sqlalchemy import (
    CTE,
    FromClause,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import ColumnElement

from shared.db.budgets import UNLIMITED
from shared.db.engine import Database, Statement
from shared.db.limited import LIMITS, limits, read_within
from shared.db.tables import budget_settlements, budgets

_COLUMNS = ["payer", "period", "held_usd", "spent_usd"]


def settle(totals: CTE) -> tuple[CTE, CTE]:
    """Add `payer`, `period`, `held_usd` and `spent_usd` to their months: to the rows that nobody has just now, and to
    those that are not there yet, and beside the others."""
    of_month = (budgets.c.payer == totals.c.payer, budgets.c.period == totals.c.period)
    month = select(budgets.c.payer, budgets.c.period).select_from(totals).join(budgets, and_(*of_month))
    free = month.with_for_update(key_share=True, skip_locked=True).cte("free")
    mine = exists().where(free.c.payer == totals.c.payer, free.c.period == totals.c.period)
    at_once = or_(mine, ~exists(select(budgets.c.payer).where(*of_month)))
    beside = insert(budget_settlements).from_select(_COLUMNS, select(totals).where(~at_once))
    return add_to_month(select(totals).where(at_once)).cte("settled"), beside.cte("settled_beside")


def place_hold(asked: CTE) -> CTE:
    """Add `asked` to its month, as far as that then comes to `most` at most, and count in what was settled of it: one
    row at most of `payer`, `period`, `held_usd`, and `most`, which is infinity without a limit. Then there is nothing
    to be held against, and a row that somebody has is not waited for. Returns payer and period, and nothing where it is
    too much: then the statement has to fail, or what it has taken would be lost."""
    of_month = (budgets.c.payer == asked.c.payer, budgets.c.period == asked.c.period)
    row = select(budgets.c.payer).select_from(asked).join(budgets, and_(*of_month))
    # Locked before anything is taken, as the sweeper does it: otherwise each could have what the other waits for.
    free = row.with_for_update(key_share=True, skip_locked=True).cte("free")
    waited = row.where(asked.c.most < UNLIMITED).with_for_update(key_share=True).cte("waited")
    locked = or_(exists(select(free)), exists(select(waited)))
    busy = and_(~locked, exists(select(budgets.c.payer).where(*of_month))).label("busy")
    month = select(asked, busy).cte("month")
    taken = _take(month, ~month.c.busy)
    held, spent = month.c.held_usd + taken.c.held_usd, taken.c.spent_usd
    sums = select(month.c.payer, month.c.period, held, spent).select_from(month).join(taken, ~month.c.busy)
    most = select(month.c.most).scalar_subquery()
    at_once = add_to_month(sums.where(month.c.held_usd <= most), most=most)
    later = select(month.c.payer, month.c.period, month.c.held_usd, literal(0)).where(month.c.busy)
    beside = insert(budget_settlements).from_select(_COLUMNS, later)
    return union_all(
        select(at_once.returning(budgets.c.payer, budgets.c.period).cte("held")),
        select(beside.returning(budget_settlements.c.payer, budget_settlements.c.period).cte("held_beside")),
    ).cte("hold")


def _take(month: FromClause, *conditions: ColumnElement[bool]) -> CTE:
    """Take the settlements of a month's payer and period: one row of `held_usd` and `spent_usd`, which may be zero."""
    settlements = budget_settlements.c
    taken = (
        delete(budget_settlements)
        .where(settlements.payer == month.c.payer, settlements.period == month.c.period, *conditions)
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


_WAITING = Statement(
    select(budget_settlements.c.payer.label("b_payer"), budget_settlements.c.period.label("b_period")).distinct()
)


def _count_in() -> Statement:
    row = select(budgets.c.payer, budgets.c.period).where(
        budgets.c.payer == bindparam("b_payer"), budgets.c.period == bindparam("b_period")
    )
    locked = row.with_for_update(key_share=True).cte("waited")
    taken = _take(locked)
    return Statement(add_to_month(select(locked, taken).join_from(locked, taken, true())))


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
