"""Serve sessions. A session has a roster, a mode and turns."""

from typing import Any

from fastapi import APIRouter, Response
from uuid6 import uuid7

from functions.requests import RequestedPage, Resident, SessionId
from functions.responses import refusals
from functions.schemas import PageOf
from functions.session_schemas import NewSession, SessionChange, SessionView
from functions.strict_route import StrictRoute
from shared.db.api.agents import load_unknown_keys, unknown_agents
from shared.db.api.councils import find_council
from shared.db.api.sessions import (
    check_session_owned,
    load_session,
    load_sessions,
    record_session,
    record_session_change,
    record_session_deletion,
)
from shared.db.engine import Row, database
from shared.domain.turn import format_time
from shared.errors import Forbidden, QuotaExceeded, UnknownAgent, UnknownCouncil, UnknownGraph
from shared.graph_names import check_graph
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/sessions", tags=["Sessions"], route_class=StrictRoute)

_SHOWN = (
    *("title", "mode", "agent_keys", "fan_out", "chair_key", "created_by", "visibility"),
    *("origin", "model", "imported"),
)


@router.get("", response_model=PageOf[SessionView])
async def list_sessions(caller: Resident, page: RequestedPage) -> dict[str, Any]:
    """List the caller's sessions and those that are visible to the tenant. An admin sees all sessions of the tenant."""
    found = load_sessions(database(), caller.actor, page)
    return {"items": [session_view(row) for row in found.items], "next_cursor": found.next_cursor}


@router.post(
    "",
    status_code=201,
    response_model=SessionView,
    responses=refusals(UnknownAgent, UnknownCouncil, UnknownGraph, QuotaExceeded),
)
async def create_session(caller: Resident, body: NewSession) -> dict[str, Any]:
    """Make a session. With `council_key`, it gets the council's mode, agents, fan-out and chair as they are now."""
    check_graph(body.mode)
    fields = body.model_dump(exclude={"council_key"})
    if body.council_key is not None:
        fields |= _of_council(caller.tenant_id, body.council_key)
    elif unknown := load_unknown_keys(database(), caller.tenant_id, body.agent_keys or ()):
        raise unknown_agents(unknown)
    return session_view(record_session(database(), caller.tenant_id, caller.user_id, uuid7(), fields))


@router.get("/{session_id}", response_model=SessionView)
async def read_session(caller: Resident, session_id: SessionId) -> dict[str, Any]:
    """Read a session."""
    return session_view(load_session(database(), caller.actor, session_id))


@router.patch("/{session_id}", response_model=SessionView, responses=refusals(Forbidden, UnknownAgent, UnknownGraph))
async def update_session(caller: Resident, session_id: SessionId, body: SessionChange) -> dict[str, Any]:
    """Change a session. Only its creator and admins can change it. A running turn keeps its roster and its mode."""
    check_graph(body.mode)
    if body.agent_keys and (unknown := load_unknown_keys(database(), caller.tenant_id, body.agent_keys)):
        # 404 and 403 come before 422.
        check_session_owned(database(), caller.actor, session_id)
        raise unknown_agents(unknown)
    fields = body.model_dump(include=body.model_fields_set)
    return session_view(record_session_change(database(), caller.actor, session_id, fields))


@router.delete("/{session_id}", status_code=204, responses=refusals(Forbidden))
async def delete_session(caller: Resident, session_id: SessionId) -> Response:
    """Delete a session with all its text. The ledger keeps its costs. Only its creator and admins can delete it."""
    record_session_deletion(database(), caller.actor, session_id)
    return Response(status_code=204)


def _of_council(tenant_id: str, key: str) -> dict[str, object]:
    """Return the fields that a session takes from a council. Raises UnknownCouncil."""
    council = find_council(database(), tenant_id, key)
    if council is None:
        raise UnknownCouncil(f"There is no council '{key}'.")
    own = {name: getattr(council, name) for name in ("mode", "fan_out", "chair_key")}
    return own | {"agent_keys": list(council.agent_keys)}


def session_view(row: Row) -> dict[str, Any]:
    """Return the fields of `SessionView`."""
    times = {name: format_time(row[name]) for name in ("created_at", "updated_at")}
    return {name: row[name] for name in _SHOWN} | {"id": str(row["id"])} | times
