"""Bodies and views of budgets. Amounts are plain decimal strings in USD."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field

from shared.db.api.budgets import Budget, CappedPayer
from shared.domain.money import format_usd
from shared.roster.fields import Body

# Digits and at most one point: no sign, no exponent, no NaN, and no more digits than the column stores.
Usd = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$", examples=["12.50"])]


class LimitBody(Body):
    """`limit_usd` null takes the limit away. The field is required."""

    limit_usd: Usd | None


class CapBody(LimitBody):
    """`limit_usd` null means the deployment's default cap. `allowance_usd` is the most that the platform bears for the
    tenant in a month: null means the deployment's default, and without the field it stays as it is."""

    allowance_usd: Usd | None = None


class AllowanceView(BaseModel):
    """The platform's share for the tenant in this month: routing, summaries and failed attempts. `held_usd` is reserved
    for calls that run. `drawn_usd` is spent, or reserved for calls whose outcome is unknown."""

    limit_usd: str
    held_usd: str
    drawn_usd: str


class MonthView(BaseModel):
    """A calendar month (UTC), "2026-11". `limit_usd` is what binds: the lesser of the tenant's limit and its cap, which
    the operator sets or the deployment's default gives. The platform alone may have none: null."""

    period: str
    limit_usd: str | None
    cap_usd: str | None
    held_usd: str
    spent_usd: str


class BudgetView(MonthView):
    allowance: AllowanceView


class CapView(BudgetView):
    tenant_id: str


def limit_of(body: LimitBody) -> Decimal | None:
    return None if body.limit_usd is None else Decimal(body.limit_usd)


def caps_of(body: CapBody) -> dict[CappedPayer, Decimal | None]:
    """Return the caps that a body sets, by payer."""
    caps: dict[CappedPayer, Decimal | None] = {"tenant": limit_of(body)}
    if "allowance_usd" in body.model_fields_set:
        caps["platform"] = None if body.allowance_usd is None else Decimal(body.allowance_usd)
    return caps


def budget_view(budget: Budget) -> dict[str, Any]:
    """Return the fields of `BudgetView`."""
    allowance = budget.allowance
    assert allowance is not None
    figures = {"limit_usd": allowance.limit_usd, "held_usd": allowance.held_usd, "drawn_usd": allowance.drawn_usd}
    return {**month_view(budget), "allowance": {name: format_usd(usd) for name, usd in figures.items()}}


def month_view(budget: Budget) -> dict[str, Any]:
    """Return the fields of `MonthView`."""
    return {
        "period": f"{budget.period:%Y-%m}",
        "limit_usd": _usd(budget.binding_usd),
        "cap_usd": _usd(budget.cap_usd),
        "held_usd": format_usd(budget.held_usd),
        "spent_usd": format_usd(budget.spent_usd),
    }


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)
