"""Agents: read by every member, and made, replaced and deleted by admins."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from functions.agent_schemas import AgentVersionView, AgentView, NewAgent
from functions.entity_tag import entity_tag, read_if_match
from functions.requests import Key, RequestedPage, Resident, administrator
from functions.schemas import PageOf, ProblemView
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
from shared.errors import InvalidRequest
from shared.names import API_PREFIX
from shared.roster.bodies import AgentBody, find_fault

router = APIRouter(prefix=f"{API_PREFIX}/agents", route_class=StrictRoute)

_ADMIN = [Depends(administrator)]
_REFUSED: dict[int | str, dict[str, Any]] = {403: {"model": ProblemView}}


@router.get("", response_model=PageOf[AgentView])
async def list_agents(caller: Resident, page: RequestedPage) -> dict[str, Any]:
    found = load_agents(database(), caller.tenant_id, page)
    return {"items": [_view(as_agent(row)) for row in found.items], "next_cursor": found.next_cursor}


@router.post(
    "",
    status_code=201,
    response_model=AgentView,
    dependencies=_ADMIN,
    responses=_REFUSED | {409: {"model": ProblemView}},
)
async def create_agent(caller: Resident, body: NewAgent, response: Response) -> dict[str, Any]:
    """Make an agent. Its version is 1, or one more than the last of a deleted agent with this key. The key of an agent
    is 409 `agent_exists`, the key of a council 409 `key_exists`."""
    agent = record_agent(database(), caller.tenant_id, body.key, _fields(body))
    response.headers["ETag"] = entity_tag(agent.version)
    return _view(agent)


@router.get("/{key}", response_model=AgentView)
async def read_agent(caller: Resident, key: Key, response: Response) -> dict[str, Any]:
    """The agent. The header `ETag` is its version in quotes."""
    agent = load_agent(database(), caller.tenant_id, key)
    response.headers["ETag"] = entity_tag(agent.version)
    return _view(agent)


@router.put(
    "/{key}",
    response_model=AgentView,
    dependencies=_ADMIN,
    responses=_REFUSED | {201: {"model": AgentView}, 409: {"model": ProblemView}, 412: {"model": ProblemView}},
)
async def put_agent(
    caller: Resident,
    key: Key,
    body: AgentBody,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Make the agent (201) or its next version (200). A body that changes nothing makes no version. With
    `If-Match: "<version>"` an agent at another version is 412. A turn keeps the versions that it started with."""
    tags = None if if_match is None else read_if_match(if_match)
    written = record_agent_change(database(), caller.tenant_id, key, _fields(body), tags)
    response.status_code = 201 if written.is_new else 200
    response.headers["ETag"] = entity_tag(written.agent.version)
    return _view(written.agent)


@router.get("/{key}/versions", response_model=PageOf[AgentVersionView])
async def list_versions(caller: Resident, key: Key, page: RequestedPage) -> dict[str, Any]:
    """The agent's newest 20 versions, and those that a turn has used."""
    found = load_versions(database(), caller.tenant_id, key, page)
    items = [_view(as_agent(row)) | {"created_at": format_time(row["created_at"])} for row in found.items]
    return {"items": items, "next_cursor": found.next_cursor}


@router.delete("/{key}", status_code=204, dependencies=_ADMIN, responses=_REFUSED)
async def delete_agent(caller: Resident, key: Key) -> Response:
    """Rosters keep the key, and treat it as disabled."""
    record_agent_deletion(database(), caller.tenant_id, key)
    return Response(status_code=204)


def _fields(body: AgentBody) -> dict[str, object]:
    """The agent's columns. Raises InvalidRequest for an unknown alias, and for a value that the alias does not
    accept."""
    if fault := find_fault(body, catalog()):
        field, reason = fault
        raise InvalidRequest(f"body.{field} {reason}")
    return stored_fields(body.model_dump(exclude={"key"}))


def _view(agent: Agent) -> dict[str, Any]:
    tokens = None if agent.max_output_tokens == NO_CAP else agent.max_output_tokens
    return {name: getattr(agent, name) for name in AgentView.model_fields} | {"max_output_tokens": tokens}
