"""Dependencies of routes: the caller and its roles, a page, an id in the path."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import PlainValidator

from functions.http import Caller, caller
from shared.db.api.new_tenants import add_roster
from shared.db.api.pages import Order, PageRequest
from shared.db.engine import database
from shared.errors import Forbidden
from shared.settings import http_settings

CurrentCaller = Annotated[Caller, Depends(caller)]


async def _resident(caller: CurrentCaller) -> Caller:
    """Return the caller. Give a new tenant its roster first."""
    add_roster(database(), caller.tenant_id)
    return caller


# For requests that read a tenant's agents, councils and sessions, or make a row of the tenant.
Resident = Annotated[Caller, Depends(_resident)]


async def administrator(caller: CurrentCaller) -> None:
    """Require the role `admin`. Raises Forbidden."""
    _require("admin", caller)


async def operator(caller: CurrentCaller) -> None:
    """Require the operator's role. Raises Forbidden."""
    _require(http_settings().operator_role, caller)


def _require(role: str, caller: Caller) -> None:
    if role not in caller.roles:
        raise Forbidden(f"This call needs the role '{role}'.")


async def _page(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    order: Order = "desc",
) -> PageRequest:
    return PageRequest(limit, cursor, order)


def _uuid(text: str) -> UUID:
    found = UUID(text)
    # UUID also reads braces, a urn: prefix and missing dashes. An id has one spelling.
    if str(found) != text.lower():
        raise ValueError("not an id as we write it")
    return found


RequestedPage = Annotated[PageRequest, Depends(_page)]
# A malformed id is 404, like an unknown one. A dependency would cost FastAPI twice the time of this type.
SessionId = Annotated[UUID, PlainValidator(_uuid, json_schema_input_type=str)]
TurnId = SessionId
# The key of an agent or a council. A key of another form is 404.
Key = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
