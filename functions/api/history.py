"""Serve stored turns, their audit trail and calls, and the summaries of a session."""

import json
from dataclasses import asdict
from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from functions.api.waiting import read_news
from functions.audit_schemas import AuditView, CallView
from functions.http import base_path
from functions.requests import CurrentCaller, RequestedPage, SessionId, TurnId
from functions.responses import refusals, sends
from functions.schemas import PageOf
from functions.strict_route import StrictRoute
from functions.summary_schemas import ArchivedView, SummaryView
from functions.turn_schemas import TurnView
from shared.db.api.audit import load_audit
from shared.db.api.calls import load_turn_calls
from shared.db.api.history import load_turns, record_cancel
from shared.db.api.summaries import load_archive, load_summaries
from shared.db.engine import Row, database
from shared.db.turns import StoredTurn, load_turn
from shared.domain.money import TOKEN_CLASSES, format_usd
from shared.domain.summary import stored_items
from shared.domain.turn import format_time
from shared.errors import Forbidden, TurnEnded
from shared.names import API_PREFIX

router = APIRouter(prefix=API_PREFIX, route_class=StrictRoute)
_TURNS: Final[list[str | Enum]] = ["Turns"]
_SESSIONS: Final[list[str | Enum]] = ["Sessions"]
_WAIT: Final = "The most seconds to wait until the turn has ended."
_AFTER: Final = "With `wait`: answer as soon as more steps of the turn than this number have finished."


@router.get("/turns/{turn_id}", response_model=TurnView, tags=_TURNS)
async def read_turn(
    caller: CurrentCaller,
    turn_id: TurnId,
    wait: Annotated[float, Query(ge=0, le=20, allow_inf_nan=False, description=_WAIT, examples=[20])] = 0,
    after: Annotated[int | None, Query(ge=0, description=_AFTER, examples=[1])] = None,
) -> Response:
    """Read a turn. A running turn has the replies that are finished. A tenant has at most 8 waiting requests. Further
    ones are answered at once."""
    turn, _ = read_news(
        caller.tenant_id,
        lambda: load_turn(database(), caller.actor, turn_id),
        lambda turn: _has_news(turn, after),
        wait,
    )
    return Response(turn.body, media_type="application/json")


def _has_news(turn: StoredTurn, after: int | None) -> bool:
    return turn.ended or (after is not None and turn.steps_finished > after)


@router.get("/sessions/{session_id}/turns", response_model=PageOf[TurnView], tags=_SESSIONS)
async def list_turns(caller: CurrentCaller, session_id: SessionId, page: RequestedPage) -> Response:
    """List the turns of a session by index. A page ends at 4 MB."""
    bodies, next_cursor = load_turns(database(), caller.actor, session_id, page)
    text = f'{{"items":[{",".join(bodies)}],"next_cursor":{json.dumps(next_cursor)}}}'
    return Response(text, media_type="application/json")


@router.get("/sessions/{session_id}/summaries", response_model=PageOf[SummaryView], tags=_SESSIONS)
async def list_summaries(caller: CurrentCaller, session_id: SessionId, page: RequestedPage) -> dict[str, Any]:
    """List the summaries of a session. Each has the items that were in memory then."""
    found = load_summaries(database(), caller.actor, session_id, page)
    return {"items": [summary_view(row) for row in found.items], "next_cursor": found.next_cursor}


@router.get("/sessions/{session_id}/archive", response_model=PageOf[ArchivedView], tags=_SESSIONS)
async def list_archive(caller: CurrentCaller, session_id: SessionId, page: RequestedPage) -> dict[str, Any]:
    """List the items that left the session's memory."""
    found = load_archive(database(), caller.actor, session_id, page)
    items = [{**row["item"], "archived_at": format_time(row["created_at"])} for row in found.items]
    return {"items": items, "next_cursor": found.next_cursor}


@router.get("/turns/{turn_id}/audit", response_model=PageOf[AuditView], tags=_TURNS)
async def read_turn_audit(caller: CurrentCaller, turn_id: TurnId) -> dict[str, Any]:
    """Read the audit trail of a turn: its user, its plan, its agents with their versions, and every attempt."""
    events = load_audit(database(), caller.actor, turn_id)
    items = [{**event, "created_at": format_time(event["created_at"])} for event in events]
    return {"items": items, "next_cursor": None}


@router.get("/turns/{turn_id}/calls", response_model=PageOf[CallView], tags=_TURNS)
async def list_turn_calls(caller: CurrentCaller, turn_id: TurnId) -> dict[str, Any]:
    """List the calls of a turn by step and attempt: routing, agents, reviews, summaries and each retry. Running calls
    are listed too. All calls are on one page."""
    rows = load_turn_calls(database(), caller.actor, turn_id)
    return {"items": [call_view(row) for row in rows], "next_cursor": None}


@router.post(
    "/turns/{turn_id}/cancel",
    status_code=202,
    response_model=TurnView,
    responses={202: sends("Location"), **refusals(Forbidden, TurnEnded)},
    tags=_TURNS,
)
async def cancel_turn(request: Request, caller: CurrentCaller, turn_id: TurnId) -> Response:
    """Cancel a turn. No further call starts. Finished replies are kept and paid."""
    turn = record_cancel(database(), caller.actor, turn_id)
    headers = {"Location": f"{base_path(request.scope)}{API_PREFIX}/turns/{turn_id}"}
    return Response(turn.body, 202, headers, "application/json")


def call_view(row: Row) -> dict[str, Any]:
    """Return the fields of `CallView`."""
    return {
        **{name: row[name] for name in CallView.model_fields if name in row},
        "started_at": format_time(row["started_at"]),
        "ended_at": row["ended_at"] and format_time(row["ended_at"]),
        "usage": {name: row[name] for name in TOKEN_CLASSES},
        "cost_usd": format_usd(row["cost_usd"]),
    }


def summary_view(row: Row) -> dict[str, Any]:
    """Return the fields of `SummaryView`."""
    shown = {name: value for name, value in row.items() if name != "last_numbers"}
    identity = {name: str(row[name]) for name in ("id", "session_id")}
    items = [asdict(item) for item in stored_items(row)[0]]
    return {**shown, **identity, "items": items, "created_at": format_time(row["created_at"])}
