"""The platform's budget: routing, summaries and failed attempts, within each tenant's allowance."""

from typing import Any

from fastapi import APIRouter

from functions.budget import LimitBody, MonthView, limit_of, month_view
from functions.responses import refusals
from functions.strict_route import StrictRoute
from shared.db.api.budgets import load_platform_budget, record_platform_limit
from shared.db.engine import operator_database
from shared.errors import Forbidden
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin/platform/budget", tags=["Operator"], route_class=StrictRoute)


@router.get("", response_model=MonthView, responses=refusals(Forbidden))
async def read_platform_budget() -> dict[str, Any]:
    """Read the platform's budget over all tenants."""
    return month_view(load_platform_budget(operator_database()))


@router.put("", response_model=MonthView, responses=refusals(Forbidden))
async def set_platform_budget(body: LimitBody) -> dict[str, Any]:
    """Set the platform's limit, null for none. Zero stops its spending at once: tenants then pay for routing, summaries
    and failed attempts. Any other limit is compared with the month's spending, which is measured every minute."""
    return month_view(record_platform_limit(operator_database(), limit_of(body)))
