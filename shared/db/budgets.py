"""Budgets: what a payer may spend in a calendar month (UTC), and what of it is held and spent.

The rule this file protects: what binds is the lesser of the tenant's limit and the operator's cap, whenever either was
set. Both stand for every month until they are changed. They are read by each hold, and are no part of the row that
holds are counted in, which whoever comes first in a month makes.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import ColumnElement, Date, bindparam, cast, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.db.engine import Database, Row, Statement
from shared.db.tables import PLATFORM, budget_limits, budget_months
from shared.domain.money import ZERO, format_usd
from shared.errors import AboveCap

UNLIMITED = literal_column("'Infinity'::numeric", budget_limits.c.limit_usd.type)


@dataclass(frozen=True, slots=True)
class Budget:
    """A payer's month, which `period` is the first day of. Money in USD; without a limit or a cap, None."""

    period: date
    limit_usd: Decimal | None
    cap_usd: Decimal | None
    held_usd: Decimal
    spent_usd: Decimal

    @property
    def binding_usd(self) -> Decimal | None:
        """What `spent + held` may come to."""
        given = [usd for usd in (self.limit_usd, self.cap_usd) if usd is not None]
        return min(given) if given else None


def payer_of(tenant_id: str) -> str:
    return f"tenant:{tenant_id}"


def this_month() -> ColumnElement[date]:
    """The first day of the month, in UTC by the database's clock."""
    return cast(func.date_trunc("month", func.timezone("UTC", func.now())), Date)


def ceiling(payer: ColumnElement[str]) -> ColumnElement[Decimal]:
    """The most that the payer's month may come to: infinity without a limit."""
    given = select(func.least(budget_limits.c.limit_usd, budget_limits.c.cap_usd)).where(budget_limits.c.payer == payer)
    return func.coalesce(given.scalar_subquery(), UNLIMITED)


_payer = bindparam("b_payer", type_=budget_limits.c.payer.type)
_usd = bindparam("b_usd", type_=budget_limits.c.limit_usd.type)


def _load() -> Statement:
    asked = select(_payer.label("payer"), this_month().label("period")).cte("asked")
    month = budget_months.c
    columns = (budget_limits.c.limit_usd, budget_limits.c.cap_usd, month.held_usd, month.spent_usd)
    joined = asked.outerjoin(budget_limits, budget_limits.c.payer == asked.c.payer).outerjoin(
        budget_months, (month.payer == asked.c.payer) & (month.period == asked.c.period)
    )
    return Statement(select(asked.c.period, *columns).select_from(joined))


def _set_limit() -> Statement:
    """Not above the cap, as it is when the row is locked."""
    given = upsert(budget_limits).from_select(["payer", "limit_usd"], select(_payer, _usd))
    allowed = or_(
        budget_limits.c.cap_usd.is_(None),
        given.excluded.limit_usd.is_(None),
        given.excluded.limit_usd <= budget_limits.c.cap_usd,
    )
    changed = given.on_conflict_do_update(
        index_elements=["payer"], set_={"limit_usd": given.excluded.limit_usd}, where=allowed
    )
    return Statement(changed.returning(budget_limits.c.payer))


def _set_cap() -> Statement:
    given = upsert(budget_limits).from_select(["payer", "cap_usd"], select(_payer, _usd))
    return Statement(given.on_conflict_do_update(index_elements=["payer"], set_={"cap_usd": given.excluded.cap_usd}))


_LOAD = _load()
_SET_LIMIT = _set_limit()
_SET_CAP = _set_cap()


def load_budget(db: Database, tenant_id: str) -> Budget:
    """The tenant's month; for one that nobody has heard of, nothing held, spent or limited."""
    return _budget(db.read(tenant_id, _LOAD, {"b_payer": payer_of(tenant_id)})[0])


def record_limit(db: Database, tenant_id: str, usd: Decimal | None) -> Budget:
    """Set the tenant's own limit, None for none. Raises AboveCap, and then nothing has changed."""
    params = {"b_payer": payer_of(tenant_id), "b_usd": usd}
    changed, loaded = db.run_all(tenant_id, (_SET_LIMIT, params), (_LOAD, params))
    budget = _budget(loaded[0])
    if not changed:
        # The cap that it was held against, which nobody changes before this is over: the row was locked to look at it.
        assert budget.cap_usd is not None
        raise AboveCap(cap_usd=format_usd(budget.cap_usd))
    return budget


def load_any_budget(operations: Database, payer: str) -> Budget:
    """The same for any payer, in the role for operations."""
    return _budget(operations.read(None, _LOAD, {"b_payer": payer})[0])


def record_cap(operations: Database, tenant_id: str, usd: Decimal | None) -> Budget:
    """Set what the tenant's limit may not exceed, None for nothing. A limit above it stays, and does not count."""
    return _operate(operations, _SET_CAP, payer_of(tenant_id), usd)


def record_platform_limit(operations: Database, usd: Decimal | None) -> Budget:
    """Set the platform's own limit: when it is spent, there is no routing and no summary that the platform pays for."""
    return _operate(operations, _SET_LIMIT, PLATFORM, usd)


def _operate(operations: Database, statement: Statement, payer: str, usd: Decimal | None) -> Budget:
    params = {"b_payer": payer, "b_usd": usd}
    return _budget(operations.run_all(None, (statement, params), (_LOAD, params))[1][0])


def _budget(row: Row) -> Budget:
    return Budget(row["period"], row["limit_usd"], row["cap_usd"], row["held_usd"] or ZERO, row["spent_usd"] or ZERO)
