"""The bodies of requests and answers about budgets. Amounts are plain decimal strings in USD."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field

from functions.field_types import Amount, TenantId
from shared.db.api.budgets import Budget, CappedPayer
from shared.domain.money import format_usd
from shared.roster.fields import Body

# Digits and at most one point: no sign, no exponent, no NaN, and no more digits than the column stores.
Usd = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$", examples=["12.50"])]


class LimitBody(Body):
    """A monthly limit."""

    limit_usd: Usd | None = Field(description="The limit of a month, in USD. Null removes it. Required.")


class CapBody(LimitBody):
    """A tenant's cap and allowance."""

    limit_usd: Usd | None = Field(
        description="The cap of the tenant's month, in USD. Null: the deployment's default cap. Required."
    )
    allowance_usd: Usd | None = Field(
        default=None,
        description="The most that the platform pays for the tenant in a month, in USD. Null: the deployment's default."
        " Without the field it does not change.",
    )


class AllowanceView(BaseModel):
    """The platform's share for the tenant in this month: routing, summaries and failed attempts."""

    limit_usd: Amount = Field(description="The most that the platform pays in this month, in USD.")
    held_usd: Amount = Field(description="Reserved for running calls, in USD.")
    drawn_usd: Amount = Field(description="Spent, or reserved for calls with an unknown outcome, in USD.")


class MonthView(BaseModel):
    """A budget in one calendar month, in UTC."""

    period: str = Field(description="The month.", examples=["2026-11"])
    limit_usd: Amount | None = Field(
        description="The limit that binds, in USD: the lesser of the tenant's limit and its cap. Null: no limit, which"
        " only the platform can have."
    )
    cap_usd: Amount | None = Field(
        description="The operator's cap for the tenant, or the deployment's default, in USD. Null: no cap, which only"
        " the platform can have."
    )
    held_usd: Amount = Field(description="Reserved for running calls, in USD.")
    spent_usd: Amount = Field(description="Spent in this month, in USD.")


class BudgetView(MonthView):
    """The tenant's budget in one calendar month, in UTC."""

    allowance: AllowanceView = Field(description="The platform's share for the tenant.")


class CapView(BudgetView):
    """A tenant's budget, for the operator."""

    tenant_id: TenantId = Field(description="Id of the tenant.")


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
