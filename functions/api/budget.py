"""Serve the tenant's budget. Every member reads it, and admins set its limit up to the operator's cap."""

from typing import Any

from fastapi import APIRouter, Depends

from functions.budget import BudgetView, LimitBody, budget_view, limit_of
from functions.requests import CurrentCaller, administrator
from functions.responses import refusals
from functions.strict_route import StrictRoute
from shared.db.api.budgets import load_budget, record_limit
from shared.db.engine import database
from shared.errors import AboveCap, Forbidden
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/budget", tags=["Usage and budget"], route_class=StrictRoute)


@router.get("", response_model=BudgetView)
async def read_budget(caller: CurrentCaller) -> dict[str, Any]:
    """Read this month's limit, the amount held for running calls, and the amount spent."""
    return budget_view(load_budget(database(), caller.tenant_id))


@router.put(
    "",
    response_model=BudgetView,
    dependencies=[Depends(administrator)],
    responses=refusals(Forbidden, AboveCap),
)
async def set_budget(caller: CurrentCaller, body: LimitBody) -> dict[str, Any]:
    """Set the limit of this month and all later ones. Null sets it to the cap. It binds from the next call on. Amounts
    that are held stay held."""
    return budget_view(record_limit(database(), caller.tenant_id, limit_of(body)))
