"""Budgets: what a payer may spend in a calendar month (UTC), and what of it is held and spent.

The lesser of the tenant's limit and the operator's cap binds, whichever was set first. Both apply to every month until
they are changed. They are in `budget_limits`, and each hold reads them there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from shared.db.engine import Database, Row
from shared.db.operations.time_limit import run_within
from shared.db.statement import load
from shared.domain.money import ZERO, format_usd
from shared.errors import AboveCap
from shared.settings import budget_settings

PLATFORM = "platform"
# The tenant itself, and the platform's share for it.
CappedPayer = Literal["tenant", "platform"]

_LOAD = load("load_budget")
_LOAD_PLATFORM = load("load_platform_budget")
_SET_LIMIT = load("set_limit")
_SET_CAP = load("set_cap")
_MEASURE_PLATFORM = load("measure_platform")
_RELEASE_LEFTOVER_HOLDS = load("release_leftover_holds")


@dataclass(frozen=True, slots=True)
class Allowance:
    """The platform's share for a tenant in a month, in USD: its limit, the reserves of open calls, and what is drawn.
    The reserve of an unknown outcome that the share bears is drawn."""

    limit_usd: Decimal
    held_usd: Decimal
    drawn_usd: Decimal


@dataclass(frozen=True, slots=True)
class Budget:
    """A payer's month, which `period` is the first day of, in USD. A tenant has an allowance and a cap, its own or the
    default; the whole platform has neither, and a limit or None."""

    period: date
    limit_usd: Decimal | None
    cap_usd: Decimal | None
    held_usd: Decimal
    spent_usd: Decimal
    allowance: Allowance | None = None

    @property
    def binding_usd(self) -> Decimal | None:
        """The most that `spent + held` may reach."""
        given = [usd for usd in (self.limit_usd, self.cap_usd) if usd is not None]
        return min(given) if given else None


def load_budget(db: Database, tenant_id: str) -> Budget:
    """Load the tenant's month. An unknown tenant has an unused month under the default cap. `db` has the application's
    or the operator's role."""
    return _of_tenant(db.read(tenant_id, _LOAD, {"b_tenant_id": tenant_id})[0])


def record_limit(db: Database, tenant_id: str, usd: Decimal | None) -> Budget:
    """Set the tenant's own limit, None for its cap. Raises AboveCap, and then nothing has changed."""
    params = _params(f"tenant:{tenant_id}", usd, budget_settings().default_cap_usd) | {"b_tenant_id": tenant_id}
    changed, loaded = db.run_all(tenant_id, (_SET_LIMIT, params), (_LOAD, params))
    budget = _of_tenant(loaded[0])
    if not changed:
        # The limit was above this cap, unless the operator has raised the cap in the same moment.
        assert budget.cap_usd is not None
        raise AboveCap(cap_usd=format_usd(budget.cap_usd))
    return budget


def record_caps(operator: Database, tenant_id: str, caps: Mapping[CappedPayer, Decimal | None]) -> Budget:
    """Set the cap of the tenant's own limit, or of the platform's share for it, None for the default. A limit above the
    cap stays, and does not count."""
    changes = [(_SET_CAP, _params(f"{payer}:{tenant_id}", usd)) for payer, usd in caps.items()]
    return _of_tenant(operator.run_all(None, *changes, (_LOAD, {"b_tenant_id": tenant_id}))[-1][0])


def load_platform_budget(operator: Database) -> Budget:
    """Load the whole platform's month. `operator` has the operator's role."""
    return Budget(**_money(operator.read(None, _LOAD_PLATFORM, {})[0]))


def record_platform_limit(operator: Database, usd: Decimal | None) -> Budget:
    """Set the platform's limit, None for none. Once it is spent, the platform pays for no routing and no summary."""
    set_limit = (_SET_LIMIT, _params(PLATFORM, usd))
    return Budget(**_money(operator.run_all(None, set_limit, (_LOAD_PLATFORM, {}))[1][0]))


def record_platform_month(operations: Database, seconds: float) -> None:
    """Store the platform's spending of this month, which each hold compares with the limit. `operations` has the role
    for operations, here and below. Raises DatabaseUnavailable after `seconds`."""
    run_within(operations, seconds, (_MEASURE_PLATFORM, {}))


def free_leftovers(operations: Database, seconds: float) -> None:
    """Free the holds that the release before 0014 leaves behind while both serve. Raises DatabaseUnavailable after
    `seconds`."""
    run_within(operations, seconds, (_RELEASE_LEFTOVER_HOLDS, {}))


def _params(payer: str, usd: Decimal | None, default_usd: Decimal | None = None) -> dict[str, object]:
    return {"b_payer": payer, "b_usd": usd, "b_default_usd": default_usd}


def _of_tenant(row: Row) -> Budget:
    values, money = budget_settings(), _money(row)
    limit_usd = money.pop("allowance_usd")
    allowance = Allowance(
        values.platform_allowance_usd if limit_usd is None else limit_usd,
        money.pop("share_held_usd") or ZERO,
        money.pop("share_drawn_usd") or ZERO,
    )
    cap_usd = values.default_cap_usd if money["cap_usd"] is None else money.pop("cap_usd")
    return Budget(**{**money, "cap_usd": cap_usd, "allowance": allowance})


def _money(row: Row) -> Row:
    return {**row, "held_usd": row["held_usd"] or ZERO, "spent_usd": row["spent_usd"] or ZERO}
