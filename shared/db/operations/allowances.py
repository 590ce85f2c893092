"""Read which tenants have drawn most from the platform's allowance this month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shared.db.engine import Database
from shared.db.operations.time_limit import read_within
from shared.db.statement import load

_LOAD = load("load_allowances")


@dataclass(frozen=True, slots=True)
class Allowance:
    """The platform's cost for a tenant in a month, in USD. `drawn_usd` includes `suspense_usd`."""

    tenant_id: str
    period: date
    drawn_usd: Decimal
    suspense_usd: Decimal


def load_allowances(db: Database, limit: int, seconds: float) -> Sequence[Allowance]:
    """Return up to `limit` tenants, most expensive first. `db` has the role for operations. Raises DatabaseUnavailable
    after `seconds`."""
    (rows,) = read_within(db, seconds, (_LOAD, {"b_limit": limit}))
    return [Allowance(**row) for row in rows]
