"""Lists of turns that wait for a runner and of calls in suspense, without text of tenants."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from functions.schemas import PageOf, ProblemView
from functions.strict_route import StrictRoute
from shared.db.api.pages import Order, PageRequest
from shared.db.engine import Row, operator_database
from shared.db.operations.waiting import load_suspended, load_waiting
from shared.domain.money import format_usd
from shared.domain.turn import format_time
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/admin", route_class=StrictRoute)


class WaitingTurnView(BaseModel):
    """A turn that has not ended and that nobody runs. `accepted` turns wait for a runner. The runner of a `running` one
    is gone. `waits_since` is the end of its lease, else the end of its newest call, else `created_at`."""

    id: str
    tenant_id: str
    session_id: str
    status: Literal["accepted", "running"]
    created_at: datetime
    waits_since: datetime
    steps_finished: int


class SuspendedCallView(BaseModel):
    """A call whose outcome is unknown. `reserve_usd` stays in suspense until the provider's record settles it or the
    month of its hold ends. `since` is when its turn was published."""

    call_id: str
    tenant_id: str
    turn_id: str
    step: int
    attempt: int
    model_alias: str
    provider: str
    since: datetime
    reserve_usd: str


async def _oldest_first(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    order: Order = "asc",
) -> PageRequest:
    return PageRequest(limit, cursor, order)


OldestFirst = Annotated[PageRequest, Depends(_oldest_first)]


@router.get("/turns", response_model=PageOf[WaitingTurnView], responses={403: {"model": ProblemView}})
async def list_waiting_turns(
    page: OldestFirst,
    _state: Annotated[Literal["waiting"], Query(alias="state", description="No other state is listed.")] = "waiting",
) -> dict[str, Any]:
    """Turns of all tenants that wait to be taken up, the oldest first."""
    found = load_waiting(operator_database(), page)
    return {"items": [_turn(row) for row in found.items], "next_cursor": found.next_cursor}


@router.get("/suspense", response_model=PageOf[SuspendedCallView], responses={403: {"model": ProblemView}})
async def list_suspense(page: OldestFirst) -> dict[str, Any]:
    """Calls of all tenants that are in suspense, the oldest first."""
    found = load_suspended(operator_database(), page)
    return {"items": [_call(row) for row in found.items], "next_cursor": found.next_cursor}


def _turn(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "session_id")}
    return {**row, **ids, **{name: format_time(row[name]) for name in ("created_at", "waits_since")}}


def _call(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("call_id", "turn_id")}
    return {**row, **ids, "since": format_time(row["since"]), "reserve_usd": format_usd(row["reserve_usd"])}
