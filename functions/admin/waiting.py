"""Lists of turns that wait for a runner and of calls in suspense, without text of tenants."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from functions.field_types import Alias, Amount, Id, TenantId, Time
from functions.requests import Cursor, Limit
from functions.responses import refusals
from functions.schemas import PageOf
from functions.strict_route import StrictRoute
from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Row, operator_database
from shared.db.operations.waiting import load_suspended, load_waiting
from shared.domain.money import format_usd
from shared.domain.turn import format_time
from shared.errors import Forbidden
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin", tags=["Operator"], route_class=StrictRoute)


class WaitingTurnView(BaseModel):
    """A turn that has not ended and that no process runs."""

    id: Id = Field(description="Id of the turn.")
    tenant_id: TenantId = Field(description="Id of the tenant.")
    session_id: Id = Field(description="Id of the session.")
    status: Literal["accepted", "running"] = Field(
        description="`accepted`: no process has run the turn yet. `running`: its process is gone.", examples=["running"]
    )
    created_at: Time = Field(description="When the turn was accepted.")
    waits_since: Time = Field(
        description="End of its lease. Without a lease, the end of its newest call. Without a call, `created_at`."
    )
    steps_finished: int = Field(description="Number of steps that have finished.", examples=[1])


class SuspendedCallView(BaseModel):
    """A call whose outcome is unknown."""

    call_id: Id = Field(description="Id of the call.")
    tenant_id: TenantId = Field(description="Id of the tenant.")
    turn_id: Id = Field(description="Id of the turn.")
    step: int = Field(description="The step of the turn, from 0.", examples=[0])
    attempt: int = Field(description="The attempt of the step, from 1.", examples=[1])
    model_alias: Alias = Field(description="The alias that was called.")
    provider: str = Field(description="Name of the provider in the catalog.", examples=["bedrock"])
    since: Time = Field(description="When the turn was published.")
    reserve_usd: Amount = Field(
        description="Reserve of the call, in USD. It stays in suspense until the provider's record settles it or the"
        " month of its hold ends."
    )


async def _oldest_first(
    limit: Annotated[int, Limit] = 20,
    cursor: Annotated[str | None, Cursor] = None,
    order: Annotated[Order, Query(description="`desc`: newest first. `asc`: oldest first.", examples=["desc"])] = "asc",
) -> PageRequest:
    return PageRequest(limit, cursor, order)


_STATE = "`waiting` is the only state that is listed."
OldestFirst = Annotated[PageRequest, Depends(_oldest_first)]


@router.get("/turns", response_model=PageOf[WaitingTurnView], responses=refusals(Forbidden))
async def list_waiting_turns(
    page: OldestFirst,
    _state: Annotated[Literal["waiting"], Query(alias="state", description=_STATE, examples=["waiting"])] = "waiting",
) -> dict[str, Any]:
    """List turns of all tenants that no process runs, oldest first."""
    found = load_waiting(operator_database(), page)
    return {"items": [_turn(row) for row in found.items], "next_cursor": found.next_cursor}


@router.get("/suspense", response_model=PageOf[SuspendedCallView], responses=refusals(Forbidden))
async def list_suspense(page: OldestFirst) -> dict[str, Any]:
    """List calls of all tenants that are in suspense, oldest first."""
    found = load_suspended(operator_database(), page)
    return {"items": [_call(row) for row in found.items], "next_cursor": found.next_cursor}


def _turn(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "session_id")}
    return {**row, **ids, **{name: format_time(row[name]) for name in ("created_at", "waits_since")}}


def _call(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("call_id", "turn_id")}
    return {**row, **ids, "since": format_time(row["since"]), "reserve_usd": format_usd(row["reserve_usd"])}
