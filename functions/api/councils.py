"""Councils: read by every member, and made, replaced and deleted by admins."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from functions.council_schemas import CouncilView, NewCouncil
from functions.entity_tag import entity_tag, read_if_match
from functions.requests import Key, RequestedPage, Resident, administrator
from functions.schemas import PageOf, ProblemView
from functions.strict_route import StrictRoute
from shared.db.api.councils import (
    as_council,
    load_council,
    load_councils,
    record_council,
    record_council_change,
    record_council_deletion,
)
from shared.db.engine import database
from shared.domain.council import Council
from shared.graph_names import check_graph
from shared.names import API_PREFIX
from shared.roster.bodies import CouncilBody

router = APIRouter(prefix=f"{API_PREFIX}/councils", route_class=StrictRoute)

_ADMIN = [Depends(administrator)]
_REFUSED: dict[int | str, dict[str, Any]] = {403: {"model": ProblemView}}
_TAKEN: dict[int | str, dict[str, Any]] = _REFUSED | {409: {"model": ProblemView}}


@router.get("", response_model=PageOf[CouncilView])
async def list_councils(caller: Resident, page: RequestedPage) -> dict[str, Any]:
    found = load_councils(database(), caller.tenant_id, page)
    return {"items": [_view(as_council(row)) for row in found.items], "next_cursor": found.next_cursor}


@router.post("", status_code=201, response_model=CouncilView, dependencies=_ADMIN, responses=_TAKEN)
async def create_council(caller: Resident, body: NewCouncil, response: Response) -> dict[str, Any]:
    """Make a council. Its version is 1, or one more than the last of a deleted council with this key. The key of a
    council or an agent is 409 `key_exists`."""
    check_graph(body.mode)
    council = record_council(database(), caller.tenant_id, body.key, body.model_dump(exclude={"key"}))
    response.headers["ETag"] = entity_tag(council.version)
    return _view(council)


@router.get("/{key}", response_model=CouncilView)
async def read_council(caller: Resident, key: Key, response: Response) -> dict[str, Any]:
    """The council. The header `ETag` is its version in quotes."""
    council = load_council(database(), caller.tenant_id, key)
    response.headers["ETag"] = entity_tag(council.version)
    return _view(council)


@router.put(
    "/{key}",
    response_model=CouncilView,
    dependencies=_ADMIN,
    responses=_TAKEN | {201: {"model": CouncilView}, 412: {"model": ProblemView}},
)
async def put_council(
    caller: Resident,
    key: Key,
    body: CouncilBody,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Make the council (201) or its next version (200). A body that changes nothing makes no version. With
    `If-Match: "<version>"` a council at another version is 412. Sessions that were made from the council stay as they
    are."""
    check_graph(body.mode)
    tags = None if if_match is None else read_if_match(if_match)
    written = record_council_change(database(), caller.tenant_id, key, body.model_dump(), tags)
    response.status_code = 201 if written.is_new else 200
    response.headers["ETag"] = entity_tag(written.council.version)
    return _view(written.council)


@router.delete("/{key}", status_code=204, dependencies=_ADMIN, responses=_REFUSED)
async def delete_council(caller: Resident, key: Key) -> Response:
    """Sessions that were made from the council stay as they are."""
    record_council_deletion(database(), caller.tenant_id, key)
    return Response(status_code=204)


def _view(council: Council) -> dict[str, Any]:
    return {name: getattr(council, name) for name in CouncilView.model_fields}
