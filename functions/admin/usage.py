"""Usage of all tenants: their cost, and the platform's share by reason."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from functions.field_types import Amount, TenantId
from functions.requests import RequestedPage
from functions.responses import refusals
from functions.schemas import PageOf
from functions.strict_route import StrictRoute
from functions.usage import GroupBy, RequestedPeriod, UsageTotalView, amounts, read_groups, total_view
from shared.db.engine import operator_database
from shared.db.usage.totals import OPERATOR_GROUPS, load_totals
from shared.errors import Forbidden
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin/usage", tags=["Operator"], route_class=StrictRoute)


class PlatformShareView(BaseModel):
    """The parts of `platform_cost_usd`."""

    attempts_usd: Amount = Field(description="Billed attempts of agents that gave no reply, in USD.")
    routing_usd: Amount = Field(description="Routing, in USD.")
    summaries_usd: Amount = Field(description="Summaries, in USD.")
    unknown_usd: Amount = Field(
        description="Calls with an unknown outcome when their turn ended, often after a crash, in USD."
    )


class OperatorTotalView(UsageTotalView):
    """The sums of one group over all tenants. A group's field is present only if `group_by` names it."""

    tenant_id: TenantId | None = Field(default=None, description="Id of the tenant.")
    platform_share: PlatformShareView = Field(
        description="The parts of `platform_cost_usd`. `suspense_usd` is not in them."
    )


@router.get(
    "",
    response_model=PageOf[OperatorTotalView],
    response_model_exclude_unset=True,
    responses=refusals(Forbidden),
)
async def read_all_usage(period: RequestedPeriod, page: RequestedPage, group_by: GroupBy = None) -> dict[str, Any]:
    """Read totals over all tenants by any of day, tenant_id, session_id, agent_key, model_alias, purpose, account and
    reason. Without groups, there is one total. Totals are sorted by the groups in this order. Days are UTC days. The
    period has at most 400 days, or 92 days by session_id."""
    groups = read_groups(group_by, OPERATOR_GROUPS)
    found = load_totals(operator_database(), None, period, groups, page)
    shares = tuple(PlatformShareView.model_fields)
    items = [total_view(row, groups) | {"platform_share": amounts(row, shares)} for row in found.items]
    return {"items": items, "next_cursor": found.next_cursor}
