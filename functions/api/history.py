"""History: turns as they are stored, one by one and by session."""

import json

from fastapi import APIRouter, Response

from functions.requests import CurrentCaller, RequestedPage, SessionId, TurnId
from functions.schemas import PageOf, TurnView
from shared.db.engine import database
from shared.db.turns import load_turn, load_turns
from shared.names import API_PREFIX

router = APIRouter(prefix=API_PREFIX)


@router.get("/sessions/{session_id}/turns", response_model=PageOf[TurnView])
async def list_turns(caller: CurrentCaller, session_id: SessionId, page: RequestedPage) -> Response:
    """The session's turns by index. A page ends at 4 MB."""
    bodies, next_cursor = load_turns(database(), caller.tenant_id, session_id, page)
    text = f'{{"items":[{",".join(bodies)}],"next_cursor":{json.dumps(next_cursor)}}}'
    return Response(text, media_type="application/json")


@router.get("/turns/{turn_id}", response_model=TurnView)
async def read_turn(caller: CurrentCaller, turn_id: TurnId) -> Response:
    """An ended turn as it was answered, a running one with the replies that are finished."""
    return Response(load_turn(database(), caller.tenant_id, turn_id).body, media_type="application/json")
