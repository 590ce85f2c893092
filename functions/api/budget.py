"""The tenant's budget: everybody sees it, an administrator sets its limit, and the operator's cap is above both."""

from typing import Any

from fastapi import APIRouter, Depends

from functions.budget import BudgetView, LimitBody, budget_view, limit_of
from functions.requests import CurrentCaller, administrator
from functions.schemas import ProblemView
from functions.strict_route import StrictRoute
from shared.db.api.budgets import load_budget, record_limit
from shared.db.engine import database
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/budget", route_class=StrictRoute)


@router.get("", response_model=BudgetView)
async def read_budget(caller: CurrentCaller) -> dict[str, Any]:
    """This month's limit, what is held for calls that run, and what is spent."""
    return budget_view(load_budget(database(), caller.tenant_id))


@router.put(
    "",
    response_model=BudgetView,
    dependencies=[Depends(administrator)],
    responses={403: {"model": ProblemView}, 422: {"model": ProblemView}},
)
async def set_limit(caller: CurrentCaller, body: LimitBody) -> dict[str, Any]:
    """Set the limit of every month from this one on, null for the cap. It binds from the next call on;
    what is held already stays held. A limit above the cap is refused (`budget_above_cap`)."""
    return budget_view(record_limit(database(), caller.tenant_id, limit_of(body)))
