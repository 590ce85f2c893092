"""Lambda entry point of the turns function, and its route that posts a turn."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from functions.start import importing

with importing():
    from fastapi import Header, Request, Response

    from functions.accept import prefers
    from functions.http import base_path, create_app, streaming_handler
    from functions.requests import CurrentCaller, SessionId
    from functions.responses import refusals, sends
    from functions.server_sent_events import MEDIA_TYPE, EventWriter
    from functions.turn_schemas import MAX_MESSAGE_CHARACTERS, NewTurn, TurnView
    from functions.turns import completions, mcp
    from functions.turns.live import LiveTurn, open_live
    from functions.turns.running import conclude, seconds_left
    from shared import errors
    from shared.db.engine import database
    from shared.errors import InvalidMessage
    from shared.llm.providers import provider
    from shared.names import API_PREFIX
    from shared.roster.fields import Text
    from shared.turns.draft import TurnRequest
    from shared.turns.run import Runner, take_turn

app = create_app("Pantheon turns")
app.include_router(completions.router)
app.include_router(mcp.router)

_REFUSALS = refusals(
    *(errors.InvalidMessage, errors.UnknownAgent, errors.UnknownGraph, errors.NoAgent, errors.NoChair),
    *(errors.RosterRefused, errors.IdempotencyKeyReused, errors.TurnLimitExceeded, errors.BudgetExceeded),
    *(errors.TurnConflict, errors.SessionDeleted, errors.RateLimited, errors.TooManyActiveTurns),
    *(errors.JournalUnavailable, errors.DatabaseUnavailable),
)
_KEY = (
    "Makes the request safe to repeat: the same key gets the same turn. Unique in the tenant, kept as long as the turn."
)
_PREFER = "`respond-async`: answer 202 at once. It wins over `Accept: text/event-stream`."
_EVENTS = """The turn's events as they happen, if `Accept` prefers `text/event-stream`. Each has one line of JSON.

- `turn`: the turn as it stands, the first event. `plan`: its plan.
- `reply.started`: `position`, `agent_key`, `name`, `model_alias`, `attempt`.
- `reply.delta`: `position` and `text`, a provisional piece of the reply's text.
- `reply.reset`: `position`. Forget the text of this attempt.
- `reply.completed`: the reply as in the turn, also a failed or skipped one.
- `turn.ended`: the turn as stored. `turn.handed_over`: the turn as a 202 has it. The stream ends.
- `error`: a problem. The stream ends. Post the turn again with its key.

All but `reply.delta` and `reply.reset` have an `id`."""
_STREAM: dict[str, Any] = {
    "description": _EVENTS,
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'event: reply.delta\ndata: {"position": 0, "text": "Hello"}\n\n',
        }
    },
    **sends("Location", "Idempotency-Replayed"),
}
_ENDED: dict[str, Any] = {"description": "The ended turn.", **sends("Location", "Idempotency-Replayed")}
_RUNNING: dict[str, Any] = {
    "model": TurnView,
    "description": "The turn as it stands. Another process runs it. Follow it at `Location`.",
    **sends("Location", "Idempotency-Replayed"),
}


@app.post(
    f"{API_PREFIX}/sessions/{{session_id}}/turns",
    status_code=201,
    response_model=TurnView,
    responses={200: _STREAM, 201: _ENDED, 202: _RUNNING, **_REFUSALS},
    tags=["Turns"],
)
async def post_turn(
    request: Request,
    caller: CurrentCaller,
    session_id: SessionId,
    body: NewTurn,
    idempotency_key: Annotated[
        Text | None, Header(min_length=1, max_length=255, description=_KEY, examples=["paris-1"])
    ] = None,
    prefer: Annotated[str | None, Header(description=_PREFER, examples=["respond-async"])] = None,
) -> Response:
    """Post a message to the session's agents. The answer is the ended turn (201), or the turn as it stands if another
    process runs it (202). With `Accept: text/event-stream`, the answer is the turn's events (200)."""
    if not body.message.strip():
        raise InvalidMessage("The message is empty.")
    if len(body.message) > MAX_MESSAGE_CHARACTERS:
        raise InvalidMessage(f"The message is longer than {MAX_MESSAGE_CHARACTERS} characters.")
    posted = TurnRequest(
        tenant_id=caller.tenant_id,
        user_id=caller.user_id,
        is_admin=caller.actor.is_admin,
        session_id=session_id,
        message=body.message,
        mode=body.mode,
        agent_keys=tuple(body.agent_keys) if body.agent_keys is not None else None,
        idempotency_key=idempotency_key,
        later=_wants_later(prefer or ""),
        api_key_id=UUID(caller.key_id) if caller.key_id else None,
    )
    take = partial(take_turn, Runner(database(), provider(), seconds_left(request)), posted)
    headers = partial(_headers, f"{base_path(request.scope)}{API_PREFIX}/turns")
    if prefers(MEDIA_TYPE, request.headers.get("accept", "")) and not posted.later:
        opened = open_live(LiveTurn(take, partial(conclude, caller.tenant_id)))
        return opened.answer(EventWriter(), headers(opened.turn_id, opened.replayed))
    outcome = take()
    conclude(caller.tenant_id, outcome)
    status = 201 if outcome.ended else 202
    return Response(outcome.body, status, headers(outcome.turn_id, outcome.replayed), "application/json")


def _headers(turns: str, turn_id: UUID, replayed: bool) -> dict[str, str]:
    """Return the headers of an answer. `turns` is the path of all turns."""
    headers = {"Location": f"{turns}/{turn_id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return headers


def _wants_later(prefer: str) -> bool:
    """Return whether `Prefer` has `respond-async`. A preference may have parameters."""
    return "respond-async" in {preference.partition(";")[0].strip().lower() for preference in prefer.split(",")}


handler = streaming_handler(app)
