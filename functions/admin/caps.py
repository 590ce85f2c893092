"""Caps of tenants: the operator sets the highest limit of a tenant, before or after its first turn."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from functions.budget import CapBody, CapView, budget_view, caps_of
from functions.responses import refusals
from functions.strict_route import StrictRoute
from shared.db.api.budgets import load_budget, record_caps
from shared.db.engine import operator_database
from shared.domain.identifier import is_identifier
from shared.errors import Forbidden, NotFound
from shared.names import API_PREFIX

# The issuer chooses the name of the tenant, which may contain slashes.
router = APIRouter(
    prefix=f"{API_PREFIX}/admin/tenants/{{tenant_id:path}}/cap", tags=["Operator"], route_class=StrictRoute
)


async def _tenant_id(tenant_id: Annotated[str, Path(description="Id of the tenant.", examples=["acme"])]) -> str:
    """Refuse a name that no token can have."""
    if not is_identifier(tenant_id):
        raise NotFound
    return tenant_id


TenantId = Annotated[str, Depends(_tenant_id)]


@router.get("", response_model=CapView, responses=refusals(Forbidden))
async def read_tenant_cap(tenant_id: TenantId) -> dict[str, Any]:
    """Read a tenant's budget. An unknown tenant has the default cap and has spent nothing."""
    return {"tenant_id": tenant_id, **budget_view(load_budget(operator_database(), tenant_id))}


@router.put("", response_model=CapView, responses=refusals(Forbidden))
async def set_tenant_cap(tenant_id: TenantId, body: CapBody) -> dict[str, Any]:
    """Set a tenant's cap, and its allowance if it is given. The cap binds from the next call on, even if the tenant's
    limit is above it."""
    return {"tenant_id": tenant_id, **budget_view(record_caps(operator_database(), tenant_id, caps_of(body)))}
