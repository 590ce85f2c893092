"""What routes take from a request beside its body: the caller and its roles, a page, an id in the path."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from functions.http import Caller, caller
from shared.db.pages import Order, PageRequest
from shared.errors import Forbidden, NotFound

CurrentCaller = Annotated[Caller, Depends(caller)]


async def administrator(caller: CurrentCaller) -> None:
    """Raises Forbidden where the caller does not administer its tenant."""
    _require("admin", caller)


async def operator(caller: CurrentCaller) -> None:
    """Raises Forbidden where the caller does not operate this deployment."""
    _require("operator", caller)


def _require(role: str, caller: Caller) -> None:
    if role not in caller.roles:
        raise Forbidden(f"This call needs the role '{role}'.")


async def _page(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    order: Order = "desc",
) -> PageRequest:
    return PageRequest(limit, cursor, order)


async def _session_id(session_id: str) -> UUID:
    return _uuid(session_id)


async def _turn_id(turn_id: str) -> UUID:
    return _uuid(turn_id)


def _uuid(text: str) -> UUID:
    """A malformed id is 404, as is one that nobody has."""
    try:
        found = UUID(text)
    except ValueError as error:
        raise NotFound from error
    # Braces, a urn: prefix or missing dashes are other spellings, and an id has one.
    if str(found) != text.lower():
        raise NotFound
    return found


RequestedPage = Annotated[PageRequest, Depends(_page)]
SessionId = Annotated[UUID, Depends(_session_id)]
TurnId = Annotated[UUID, Depends(_turn_id)]
