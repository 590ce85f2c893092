"""Serve the events of a turn, in whichever process the turn runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response

from functions.api.waiting import read_news
from functions.requests import CurrentCaller, TurnId
from functions.server_sent_events import COMMENT, HEADERS, MEDIA_TYPE, encode, retry
from functions.strict_route import StrictRoute
from shared.db.api.history import PAGE_BYTES
from shared.db.engine import database
from shared.db.turns import load_snapshot
from shared.domain.actor import Actor
from shared.domain.turn_events import Event, Progress
from shared.domain.turn_snapshot import events_after
from shared.errors import InvalidRequest
from shared.names import API_PREFIX

router = APIRouter(prefix=API_PREFIX, tags=["Turns"], route_class=StrictRoute)

_WAIT_S = 20.0
_EXAMPLE = 'id: 1\nevent: plan\ndata: {"selected_agent_keys": ["writer"], "source": "tags", "unknown_tags": []}\n\n'
_LAST_EVENT_ID = (
    "Id of the last event that was received, here or in the stream that posted the turn. Without it: all events."
)
# Milliseconds until the client asks again. Without a slot it cannot wait here, so it asks later.
_RETRY_MS, _RETRY_WITHOUT_SLOT_MS = 200, 2_000


class EventStream(Response):
    """A response whose media type is in the OpenAPI document."""

    media_type = MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class _News:
    """Events to send. `over`: the client has seen the end."""

    events: Sequence[Event]
    over: bool

    @property
    def worth_telling(self) -> bool:
        return self.over or bool(self.events)


@router.get(
    "/turns/{turn_id}/events",
    response_class=EventStream,
    responses={
        200: {"description": "Events of the turn.", "content": {MEDIA_TYPE: {"example": _EXAMPLE}}},
        204: {"description": "The client has seen `turn.ended`. No event follows."},
    },
)
async def follow_turn(
    caller: CurrentCaller,
    turn_id: TurnId,
    last_event_id: Annotated[str | None, Header(description=_LAST_EVENT_ID, examples=["1.1c"])] = None,
) -> Response:
    """Follow a turn by its events. The answer comes with the next event, or after 20 s. It ends at 4 MB. Its `retry`
    says when to ask again. A tenant has at most 8 waiting requests. Further ones are answered at once."""
    news, waited = read_news(
        caller.tenant_id, lambda: _read(caller.actor, turn_id, last_event_id), lambda news: news.worth_telling, _WAIT_S
    )
    if news.over:
        return Response(status_code=204, headers={"Cache-Control": HEADERS["Cache-Control"]})
    pause = retry(_RETRY_MS if waited else _RETRY_WITHOUT_SLOT_MS)
    return EventStream(pause + (_within(news.events) or COMMENT), headers=dict(HEADERS))


def _read(actor: Actor, turn_id: UUID, last_event_id: str | None) -> _News:
    snapshot = load_snapshot(database(), actor, turn_id)
    # The turn is read first, because 404 comes before 422.
    seen = _progress(last_event_id)
    return _News(events_after(seen, snapshot), over=seen is not None and seen.ended)


def _progress(last_event_id: str | None) -> Progress | None:
    try:
        return None if last_event_id is None else Progress.from_id(last_event_id)
    except ValueError:
        raise InvalidRequest("The header Last-Event-ID is not the id of an event of a turn.") from None


def _within(events: Sequence[Event]) -> bytes:
    """Write as many events as fit in an answer, and at least one. The next request gets the others."""
    text = b""
    for written in map(encode, events):
        if text and len(text) + len(written) > PAGE_BYTES:
            break
        text += written
    return text
