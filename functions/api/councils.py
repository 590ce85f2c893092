"""Serve councils. Every member reads them, and admins write them."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from functions.council_schemas import CouncilView, NewCouncil
from functions.entity_tag import entity_tag, read_if_match
from functions.requests import CouncilKey, IfMatch, RequestedPage, Resident, administrator
from functions.responses import Responses, refusals, sends
from functions.schemas import PageOf
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
from shared.errors import Forbidden, KeyExists, QuotaExceeded, UnknownAgent, UnknownGraph, VersionMismatch
from shared.graph_names import check_graph
from shared.names import API_PREFIX
from shared.roster.bodies import CouncilBody

router = APIRouter(prefix=f"{API_PREFIX}/councils", tags=["Councils"], route_class=StrictRoute)

_ADMIN = [Depends(administrator)]
_REFUSED: Responses = refusals(Forbidden, KeyExists, UnknownAgent, UnknownGraph, QuotaExceeded)


@router.get("", response_model=PageOf[CouncilView])
async def list_councils(caller: Resident, page: RequestedPage) -> dict[str, Any]:
    """List the councils of the tenant."""
    found = load_councils(database(), caller.tenant_id, page)
    return {"items": [_view(as_council(row)) for row in found.items], "next_cursor": found.next_cursor}


@router.post(
    "",
    status_code=201,
    response_model=CouncilView,
    dependencies=_ADMIN,
    responses={201: sends("ETag"), **_REFUSED},
)
async def create_council(caller: Resident, body: NewCouncil, response: Response) -> dict[str, Any]:
    """Make a council. Its version is 1, or one more than the last version of a deleted council with this key."""
    check_graph(body.mode)
    council = record_council(database(), caller.tenant_id, body.key, body.model_dump(exclude={"key"}))
    response.headers["ETag"] = entity_tag(council.version)
    return _view(council)


@router.get("/{key}", response_model=CouncilView, responses={200: sends("ETag")})
async def read_council(caller: Resident, key: CouncilKey, response: Response) -> dict[str, Any]:
    """Read a council."""
    council = load_council(database(), caller.tenant_id, key)
    response.headers["ETag"] = entity_tag(council.version)
    return _view(council)


@router.put(
    "/{key}",
    response_model=CouncilView,
    dependencies=_ADMIN,
    responses={
        200: sends("ETag"),
        201: {"model": CouncilView, "description": "The council is new.", **sends("ETag")},
        **_REFUSED,
        **refusals(VersionMismatch),
    },
)
async def put_council(
    caller: Resident,
    key: CouncilKey,
    body: CouncilBody,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Make the council (201) or its next version (200). A body that changes nothing makes no version. Sessions that
    were made from the council do not change."""
    check_graph(body.mode)
    tags = None if if_match is None else read_if_match(if_match)
    written = record_council_change(database(), caller.tenant_id, key, body.model_dump(), tags)
    response.status_code = 201 if written.is_new else 200
    response.headers["ETag"] = entity_tag(written.council.version)
    return _view(written.council)


@router.delete("/{key}", status_code=204, dependencies=_ADMIN, responses=refusals(Forbidden))
async def delete_council(caller: Resident, key: CouncilKey) -> Response:
    """Delete a council. Sessions that were made from it do not change."""
    record_council_deletion(database(), caller.tenant_id, key)
    return Response(status_code=204)


def _view(council: Council) -> dict[str, Any]:
    return {name: getattr(council, name) for name in CouncilView.model_fields}
