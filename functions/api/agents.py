"""Agents: made, read, replaced and deleted by key."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from functions.requests import CurrentCaller, RequestedPage
from functions.schemas import AgentBody, AgentView, NewAgent, PageOf, ProblemView
from shared.catalog import catalog
from shared.db.api.agents import (
    as_agent,
    load_agent,
    load_agents,
    record_agent,
    record_agent_change,
    record_agent_deletion,
)
from shared.db.engine import database
from shared.domain.agent import Agent
from shared.errors import InvalidRequest
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/agents")

# Another key than these cannot exist, and is 404.
Key = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


@router.get("", response_model=PageOf[AgentView])
async def list_agents(caller: CurrentCaller, page: RequestedPage) -> dict[str, Any]:
    found = load_agents(database(), caller.tenant_id, page)
    return {"items": [_view(as_agent(row)) for row in found.items], "next_cursor": found.next_cursor}


@router.post("", status_code=201, response_model=AgentView, responses={409: {"model": ProblemView}})
async def create_agent(caller: CurrentCaller, body: NewAgent) -> dict[str, Any]:
    _check_alias(body.model_alias)
    return _view(record_agent(database(), caller.tenant_id, body.key, body.model_dump(exclude={"key"})))


@router.get("/{key}", response_model=AgentView)
async def read_agent(caller: CurrentCaller, key: Key) -> dict[str, Any]:
    return _view(load_agent(database(), caller.tenant_id, key))


@router.put("/{key}", response_model=AgentView)
async def replace_agent(caller: CurrentCaller, key: Key, body: AgentBody) -> dict[str, Any]:
    """Make the agent's next version. A turn that runs keeps the version that it started with."""
    _check_alias(body.model_alias)
    return _view(record_agent_change(database(), caller.tenant_id, key, body.model_dump()))


@router.delete("/{key}", status_code=204)
async def delete_agent(caller: CurrentCaller, key: Key) -> Response:
    """Rosters keep the key, and treat it as disabled."""
    record_agent_deletion(database(), caller.tenant_id, key)
    return Response(status_code=204)


def _check_alias(alias: str) -> None:
    if alias not in catalog():
        raise InvalidRequest(f"model_alias must be one of: {', '.join(catalog())}.")


def _view(agent: Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in AgentView.model_fields}
