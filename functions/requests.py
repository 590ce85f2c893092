"""What routes take from a request beside its body: the caller and its roles, a page, an id in the path."""

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
    """The caller. A new tenant gets its roster first."""
    add_roster(database(), caller.tenant_id)
    return caller


# For requests that see a tenant's agents, councils and sessions, and those that make a row of the tenant's.
Resident = Annotated[Caller, Depends(_resident)]


async def administrator(caller: CurrentCaller) -> None:
    """Raises Forbidden where the caller does not administer its tenant."""
    _require("admin", caller)


async def operator(caller: CurrentCaller) -> None:
    """Raises Forbidden where the caller does not operate this deployment."""
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
    # Braces, a urn: prefix or missing dashes are other spellings, and an id has one.
    if str(found) != text.lower():
        raise ValueError("not an id as we write it")
    return found


RequestedPage = Annotated[PageRequest, Depends(_page)]
# A malformed id is 404, as is one that nobody has. It is a type and no dependency, which costs FastAPI twice the time.
SessionId = Annotated[UUID, PlainValidator(_uuid, json_schema_input_type=str)]
TurnId = SessionId
# The key of an agent or a council. Another key than these cannot exist, and is 404.
Key = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
