"""Lambda entry point of the turns function: POST /sessions/{session_id}/turns and nothing else."""

import time
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from functions.start import importing

with importing():
    from fastapi import Header, Request, Response

    from functions.dispatch import dispatch
    from functions.http import base_path, create_app, lambda_handler
    from functions.requests import CurrentCaller, SessionId
    from functions.schemas import MAX_MESSAGE_CHARACTERS, NewTurn, ProblemView, TurnView
    from shared import telemetry
    from shared.db.engine import database
    from shared.domain.message import TurnMessage
    from shared.errors import InvalidMessage
    from shared.llm.providers import provider
    from shared.names import API_PREFIX
    from shared.roster.fields import Text
    from shared.settings import settings
    from shared.turns.accept import TurnRequest
    from shared.turns.run import Runner, take_turn

app = create_app("Pantheon turns")

_PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": ProblemView} for status in (400, 402, 404, 409, 410, 422, 429, 503)
}


@app.post(
    f"{API_PREFIX}/sessions/{{session_id}}/turns",
    status_code=201,
    response_model=TurnView,
    responses={202: {"model": TurnView}, **_PROBLEMS},
)
async def post_turn(
    request: Request,
    caller: CurrentCaller,
    session_id: SessionId,
    body: NewTurn,
    idempotency_key: Annotated[Text | None, Header(min_length=1, max_length=255)] = None,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """Ask the council. 201 with the ended turn, or 202 with the turn as it stands where another process runs it."""
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
    outcome = take_turn(Runner(database(), provider(), _seconds_left(request)), posted)
    telemetry.emit(outcome)
    if outcome.handed_over:
        dispatch([TurnMessage(outcome.turn_id, caller.tenant_id)], outcome.wait_s)
    headers = {"Location": f"{base_path(request.scope)}{API_PREFIX}/turns/{outcome.turn_id}"}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(outcome.body, 201 if outcome.ended else 202, headers, "application/json")


def _wants_later(prefer: str) -> bool:
    """Whether one of the preferences, which may have parameters, is not to wait."""
    return "respond-async" in {preference.partition(";")[0].strip().lower() for preference in prefer.split(",")}


def _seconds_left(request: Request) -> Callable[[], float]:
    """What a posted turn may still take here: the setting, and never more than this invocation has."""
    started, context = time.monotonic(), request.scope["aws.context"]
    limit = settings().turn_seconds

    def seconds_left() -> float:
        return min(limit - (time.monotonic() - started), float(context.get_remaining_time_in_millis()) / 1000)

    return seconds_left


handler = lambda_handler(app)
