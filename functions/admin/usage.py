"""Usage of all tenants: their cost, and the platform's share by reason."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from functions.requests import RequestedPage
from functions.schemas import PageOf, ProblemView
from functions.strict_route import StrictRoute
from functions.usage import GroupBy, RequestedPeriod, UsageTotalView, amounts, read_groups, total_view
from shared.db.engine import operator_database
from shared.db.usage.totals import OPERATOR_GROUPS, load_totals
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin/usage", route_class=StrictRoute)


class PlatformShareView(BaseModel):
    """What `platform_cost_usd` was for, as decimal strings in USD: attempts of agents that were billed and are no
    reply, routing, summaries, and calls whose outcome was unknown when their turn ended, often after a crash."""

    attempts_usd: str
    routing_usd: str
    summaries_usd: str
    unknown_usd: str


class OperatorTotalView(UsageTotalView):
    """As tenants see it, over those that are asked for. `platform_share` adds up to `platform_cost_usd`; what crashes
    may still cost is in `suspense_usd`."""

    tenant_id: str | None = None
    platform_share: PlatformShareView


@router.get(
    "",
    response_model=PageOf[OperatorTotalView],
    response_model_exclude_unset=True,
    responses={403: {"model": ProblemView}},
)
async def read_all_usage(period: RequestedPeriod, page: RequestedPage, group_by: GroupBy = None) -> dict[str, Any]:
    """Totals over all tenants by any of day, tenant_id, session_id, agent_key, model_alias, purpose, account and
    reason; one total without. Sorted by the groups in this order. Days are those of UTC. The period is 400 days at
    most, by session_id 92 days, and 422 otherwise."""
    groups = read_groups(group_by, OPERATOR_GROUPS)
    found = load_totals(operator_database(), None, period, groups, page)
    shares = tuple(PlatformShareView.model_fields)
    items = [total_view(row, groups) | {"platform_share": amounts(row, shares)} for row in found.items]
    return {"items": items, "next_cursor": found.next_cursor}
