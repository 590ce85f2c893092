"""A budget as HTTP has it: money is a plain decimal string, in and out."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field

from functions.schemas import Body
from shared.db.api.budgets import Budget
from shared.domain.money import format_usd

# Digits and at most one point: no sign, no exponent, no NaN, and no more digits than a row keeps for good.
Usd = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$", examples=["12.50"])]


class LimitBody(Body):
    """`limit_usd` null takes the limit away. The field is required."""

    limit_usd: Usd | None


class BudgetView(BaseModel):
    """A calendar month (UTC), "2026-11". `limit_usd` is what binds: the lesser of the tenant's limit and its cap, which
    the operator sets or the deployment's default gives. The platform alone may have none: null."""

    period: str
    limit_usd: str | None
    cap_usd: str | None
    held_usd: str
    spent_usd: str


class CapView(BudgetView):
    tenant_id: str


def limit_of(body: LimitBody) -> Decimal | None:
    return None if body.limit_usd is None else Decimal(body.limit_usd)


def budget_view(budget: Budget) -> dict[str, Any]:
    """The fields of `BudgetView`."""
    return {
        "period": f"{budget.period:%Y-%m}",
        "limit_usd": _usd(budget.binding_usd),
        "cap_usd": _usd(budget.cap_usd),
        "held_usd": format_usd(budget.held_usd),
        "spent_usd": format_usd(budget.spent_usd),
    }


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)
