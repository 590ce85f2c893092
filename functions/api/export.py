"""Export a session page by page, as JSON or as Markdown.

The joined pages of a Markdown export are one document. Each page of a JSON export is a document of its own.
"""

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from functions.api.history import summary_view
from functions.api.markdown import render
from functions.api.sessions import session_view
from functions.field_types import Id, Key
from functions.http import base_path
from functions.requests import CurrentCaller, Cursor, SessionId
from functions.responses import Responses, sends
from functions.session_schemas import SessionView
from functions.strict_route import StrictRoute
from functions.summary_schemas import SummaryView
from functions.turn_schemas import TurnView
from shared.db.api.export import ExportPage, load_export
from shared.db.engine import database
from shared.names import API_PREFIX

router = APIRouter(prefix=API_PREFIX, tags=["Sessions"], route_class=StrictRoute)

Format = Literal["json", "markdown"]
_TYPES = {"json": ("application/json", "json"), "markdown": ("text/markdown", "md")}
_MARKDOWN: Responses = {
    200: {
        "content": {"text/markdown": {"schema": {"type": "string"}, "example": "# Paris\n\n## Turn 1\n"}},
        **sends("Content-Disposition", "Link"),
    }
}


class RosterView(BaseModel):
    """An agent of the session's roster."""

    key: Key = Field(description="Key of the agent.")
    name: str = Field(description="Name of the agent.", examples=["Writer"])


class ExportView(BaseModel):
    """A page of a session, oldest turn first."""

    session: SessionView = Field(description="The session.")
    agents: list[RosterView] = Field(description="The agents of its roster.")
    turns: list[TurnView] = Field(description="The turns of this page that have ended.")
    summaries: list[SummaryView] = Field(description="The summaries after these turns.")
    active_turn_id: Id | None = Field(description="Id of a turn that has not ended and is not in the page. Null: none.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page. Null: this is the last page.", examples=["WzRd"]
    )


@router.get("/sessions/{session_id}/export", response_model=ExportView, responses=_MARKDOWN)
async def export_session(
    request: Request,
    caller: CurrentCaller,
    session_id: SessionId,
    format: Annotated[Format, Query(description="The format of the answer.", examples=["markdown"])] = "json",
    cursor: Annotated[str | None, Cursor] = None,
) -> Response:
    """Export the session, its agents, its ended turns and its summaries. A page ends at 4 MB. The header `Link` has the
    address of the next page."""
    page = load_export(database(), caller.actor, session_id, cursor)
    media_type, suffix = _TYPES[format]
    part = "" if page.after is None else f"-after-{page.after}"
    headers = {"Content-Disposition": f'attachment; filename="session-{session_id}{part}.{suffix}"'}
    if page.next_cursor is not None:
        query = urlencode({"format": format, "cursor": page.next_cursor})
        headers["Link"] = f'<{base_path(request.scope)}{API_PREFIX}/sessions/{session_id}/export?{query}>; rel="next"'
    return Response(_json(page) if format == "json" else render(page), 200, headers, media_type)


def _json(page: ExportPage) -> str:
    """Write a page as JSON. Turns are stored as JSON and are copied."""
    head = {
        "session": session_view(page.session),
        "agents": [{"key": key, "name": page.names[key]} for key in page.session["agent_keys"]],
    }
    tail = {
        "summaries": [summary_view(row) for row in page.summaries.values()],
        "active_turn_id": page.active_turn_id and str(page.active_turn_id),
        "next_cursor": page.next_cursor,
    }
    return f'{_members(head)[:-1]},"turns":[{",".join(page.turns.values())}],{_members(tail)[1:]}'


def _members(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
