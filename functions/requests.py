"""Read the caller, its roles, a page and an id in the path from a request."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Path, Query
from pydantic import PlainValidator

from functions.http import Caller, caller
from shared.db.api.new_tenants import add_roster
from shared.db.api.pages import Order, PageRequest
from shared.db.engine import database
from shared.errors import Forbidden
from shared.settings import http_settings

# Query parameters of every list.
Limit: Final = Query(ge=1, le=100, description="Most items of the page.", examples=[50])
Cursor: Final = Query(
    max_length=1000, description="`next_cursor` of the page before. Without it: the first page.", examples=["WzRd"]
)
CurrentCaller = Annotated[Caller, Depends(caller)]


async def _resident(caller: CurrentCaller) -> Caller:
    """Return the caller. A new tenant gets its roster first."""
    add_roster(database(), caller.tenant_id)
    return caller


# For requests that read a tenant's agents, councils and sessions or add a row.
Resident = Annotated[Caller, Depends(_resident)]


async def administrator(caller: CurrentCaller) -> None:
    """Raise Forbidden unless the caller is an admin of its tenant."""
    _require("admin", caller)


async def operator(caller: CurrentCaller) -> None:
    """Raise Forbidden unless the caller operates this deployment."""
    _require(http_settings().operator_role, caller)


def _require(role: str, caller: Caller) -> None:
    if role not in caller.roles:
        raise Forbidden(f"This call needs the role '{role}'.")


async def _page(
    limit: Annotated[int, Limit] = 20,
    cursor: Annotated[str | None, Cursor] = None,
    order: Annotated[Order, Query(description="`desc`: newest first. `asc`: oldest first.", examples=["asc"])] = "desc",
) -> PageRequest:
    return PageRequest(limit, cursor, order)


def _uuid(text: str) -> UUID:
    found = UUID(text)
    # UUID() also takes braces, a urn: prefix and missing dashes.
    if str(found) != text.lower():
        raise ValueError("not an id as we write it")
    return found


RequestedPage = Annotated[PageRequest, Depends(_page)]
# A malformed id is 404, like an unknown one. As a dependency it would take FastAPI twice the time.
_Id = Annotated[UUID, PlainValidator(_uuid, json_schema_input_type=str)]
_EXAMPLES: Final = ["019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"]
SessionId = Annotated[_Id, Path(description="Id of the session.", examples=_EXAMPLES)]
TurnId = Annotated[_Id, Path(description="Id of the turn.", examples=_EXAMPLES)]
ApiKeyId = Annotated[_Id, Path(description="Id of the API key.", examples=_EXAMPLES)]
# A key of another form cannot exist. It is 404.
_KEY: Final = r"^[a-z][a-z0-9_-]{0,31}$"
Key = Annotated[str, Path(pattern=_KEY, description="Key of the agent.", examples=["writer"])]
CouncilKey = Annotated[str, Path(pattern=_KEY, description="Key of the council.", examples=["panel"])]
IfMatch = Annotated[
    str | None,
    Header(
        description="The `ETag` of the version to replace, or `*`. Another version is 412. Without it: any version.",
        examples=['"3"'],
    ),
]
