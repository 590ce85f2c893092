"""A session to take away, whole and page by page, as JSON or as Markdown.

The pages of a Markdown export, one after the other, are one document; those of a JSON export each stand alone.
"""

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from functions.api.history import summary_view
from functions.api.markdown import render
from functions.api.sessions import session_view
from functions.http import base_path
from functions.requests import CurrentCaller, SessionId
from functions.schemas import ExportView
from functions.strict_route import StrictRoute
from shared.db.api.export import ExportPage, load_export
from shared.db.engine import database
from shared.names import API_PREFIX

router = APIRouter(prefix=API_PREFIX, route_class=StrictRoute)

Format = Literal["json", "markdown"]
_TYPES = {"json": ("application/json", "json"), "markdown": ("text/markdown", "md")}
_MARKDOWN: dict[int | str, dict[str, Any]] = {200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}}


@router.get("/sessions/{session_id}/export", response_model=ExportView, responses=_MARKDOWN)
async def export_session(
    request: Request,
    caller: CurrentCaller,
    session_id: SessionId,
    format: Format = "json",
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """The session, its agents, its turns that have ended, and its summaries. A page ends at 4 MB; the next one is at
    `next_cursor`, and in the header `Link`."""
    page = load_export(database(), caller.actor, session_id, cursor)
    media_type, suffix = _TYPES[format]
    part = "" if page.after is None else f"-after-{page.after}"
    headers = {"Content-Disposition": f'attachment; filename="session-{session_id}{part}.{suffix}"'}
    if page.next_cursor is not None:
        query = urlencode({"format": format, "cursor": page.next_cursor})
        headers["Link"] = f'<{base_path(request.scope)}{API_PREFIX}/sessions/{session_id}/export?{query}>; rel="next"'
    return Response(_json(page) if format == "json" else render(page), 200, headers, media_type)


def _json(page: ExportPage) -> str:
    """The turns are stored as JSON, and stay as they were answered."""
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
