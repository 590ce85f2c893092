"""The platform's budget: it bears routing, summaries and what crashes cost. Its limit stops the first two only."""

from typing import Any

from fastapi import APIRouter

from functions.budget import BudgetView, LimitBody, budget_view, limit_of
from functions.schemas import ProblemView
from shared.db.api.budgets import load_platform_budget, record_platform_limit
from shared.db.engine import operations_database
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin/platform/budget")


@router.get("", response_model=BudgetView, responses={403: {"model": ProblemView}})
async def read_platform_budget() -> dict[str, Any]:
    """The platform's month, over all tenants."""
    return budget_view(load_platform_budget(operations_database()))


@router.put("", response_model=BudgetView, responses={403: {"model": ProblemView}})
async def set_platform_budget(body: LimitBody) -> dict[str, Any]:
    """Set the platform's limit, null for none. Zero stops its spending at once: turns go on, route by their rules and
    write no summary. Any other limit is compared with the month's spending, which is measured every minute."""
    return budget_view(record_platform_limit(operations_database(), limit_of(body)))
