"""Serve agents. Every member reads them, and admins write them."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from functions.agent_schemas import AgentVersionView, AgentView, NewAgent
from functions.entity_tag import entity_tag, read_if_match
from functions.requests import IfMatch, Key, RequestedPage, Resident, administrator
from functions.responses import refusals, sends
from functions.schemas import PageOf
from functions.strict_route import StrictRoute
from shared.catalog import catalog
from shared.db.api.agents import (
    as_agent,
    load_agent,
    load_agents,
    load_versions,
    record_agent,
    record_agent_change,
    record_agent_deletion,
)
from shared.db.engine import database
from shared.domain.agent import NO_CAP, Agent, stored_fields
from shared.domain.turn import format_time
from shared.errors import AgentExists, Forbidden, InvalidRequest, KeyExists, QuotaExceeded, VersionMismatch
from shared.names import API_PREFIX
from shared.roster.bodies import AgentBody, find_fault

router = APIRouter(prefix=f"{API_PREFIX}/agents", tags=["Agents"], route_class=StrictRoute)

_ADMIN = [Depends(administrator)]


@router.get("", response_model=PageOf[AgentView])
async def list_agents(caller: Resident, page: RequestedPage) -> dict[str, Any]:
    """List the agents of the tenant."""
    found = load_agents(database(), caller.tenant_id, page)
    return {"items": [_view(as_agent(row)) for row in found.items], "next_cursor": found.next_cursor}


@router.post(
    "",
    status_code=201,
    response_model=AgentView,
    dependencies=_ADMIN,
    responses={201: sends("ETag"), **refusals(Forbidden, AgentExists, KeyExists, QuotaExceeded)},
)
async def create_agent(caller: Resident, body: NewAgent, response: Response) -> dict[str, Any]:
    """Make an agent. Its version is 1, or one more than the last version of a deleted agent with this key."""
    agent = record_agent(database(), caller.tenant_id, body.key, _fields(body))
    response.headers["ETag"] = entity_tag(agent.version)
    return _view(agent)


@router.get("/{key}", response_model=AgentView, responses={200: sends("ETag")})
async def read_agent(caller: Resident, key: Key, response: Response) -> dict[str, Any]:
    """Read an agent."""
    agent = load_agent(database(), caller.tenant_id, key)
    response.headers["ETag"] = entity_tag(agent.version)
    return _view(agent)


@router.put(
    "/{key}",
    response_model=AgentView,
    dependencies=_ADMIN,
    responses={
        200: sends("ETag"),
        201: {"model": AgentView, "description": "The agent is new.", **sends("ETag")},
        **refusals(Forbidden, KeyExists, VersionMismatch, QuotaExceeded),
    },
)
async def put_agent(
    caller: Resident,
    key: Key,
    body: AgentBody,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Make the agent (201) or its next version (200). A body that changes nothing makes no version. A turn keeps the
    versions that it started with."""
    tags = None if if_match is None else read_if_match(if_match)
    written = record_agent_change(database(), caller.tenant_id, key, _fields(body), tags)
    response.status_code = 201 if written.is_new else 200
    response.headers["ETag"] = entity_tag(written.agent.version)
    return _view(written.agent)


@router.get("/{key}/versions", response_model=PageOf[AgentVersionView])
async def list_agent_versions(caller: Resident, key: Key, page: RequestedPage) -> dict[str, Any]:
    """List the newest 20 versions of an agent, and all versions that a turn has used."""
    found = load_versions(database(), caller.tenant_id, key, page)
    items = [_view(as_agent(row)) | {"created_at": format_time(row["created_at"])} for row in found.items]
    return {"items": items, "next_cursor": found.next_cursor}


@router.delete("/{key}", status_code=204, dependencies=_ADMIN, responses=refusals(Forbidden))
async def delete_agent(caller: Resident, key: Key) -> Response:
    """Delete an agent. Rosters keep its key and treat it as disabled."""
    record_agent_deletion(database(), caller.tenant_id, key)
    return Response(status_code=204)


def _fields(body: AgentBody) -> dict[str, object]:
    """Return the agent's columns. Raises InvalidRequest if the alias is unknown or does not accept a value."""
    if fault := find_fault(body, catalog()):
        field, reason = fault
        raise InvalidRequest(f"body.{field} {reason}")
    return stored_fields(body.model_dump(exclude={"key"}))


def _view(agent: Agent) -> dict[str, Any]:
    tokens = None if agent.max_output_tokens == NO_CAP else agent.max_output_tokens
    return {name: getattr(agent, name) for name in AgentView.model_fields} | {"max_output_tokens": tokens}
