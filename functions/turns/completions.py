"""The route POST /v1/chat/completions, which offers agents and councils as models of OpenAI's API."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from functions.http import Caller
from functions.openai_errors import HANDED_OVER
from functions.requests import CurrentCaller
from functions.responses import ERRORS, Responses, refusals, sends
from functions.server_sent_events import MEDIA_TYPE
from functions.strict_route import StrictRoute
from functions.turns.chat_answer import HANDED_OVER_DETAIL, completion_of, failure_of
from functions.turns.chat_body import ChatBody, ChatCompletionView
from functions.turns.chat_chunks import ChatChunks
from functions.turns.chat_reading import check_sizes, conversation_name, hash_request, is_task, read_texts
from functions.turns.live import LiveTurn, open_live
from functions.turns.running import conclude, seconds_left
from shared import errors
from shared.db.engine import database
from shared.domain.conversation import Options
from shared.domain.outcome import TurnOutcome
from shared.domain.problem import problem
from shared.llm.providers import provider
from shared.roster.fields import Text
from shared.settings import settings
from shared.turns.chat_request import CALL_PREFIX
from shared.turns.conversations import ChatTurn, take_chat
from shared.turns.run import Runner

router = APIRouter(route_class=StrictRoute)

_RETRIES: Final = "x-stainless-retry-count"
_REFUSALS: Final[Responses] = {
    **refusals(
        *(errors.Unsupported, errors.UnknownModel, errors.InvalidMessage, errors.NoAgent, errors.NoChair),
        *(errors.RosterRefused, errors.IdempotencyKeyReused, errors.TurnLimitExceeded, errors.BudgetExceeded),
        *(errors.TurnConflict, errors.SessionDeleted, errors.RateLimited, errors.TooManyActiveTurns),
        *(errors.JournalUnavailable, errors.DatabaseUnavailable),
    ),
    502: {ERRORS: {code: problem(code).detail for code in ("no_reply", "mode_error")}},
}
_REFUSALS[503][ERRORS][HANDED_OVER] = HANDED_OVER_DETAIL
_KEY: Final = "Makes the request safe to repeat: the same key gets the same answer. Unique in the tenant."
_STREAM: Final[dict[str, Any]] = {
    "description": "The answer, or its chunks with `stream`.",
    **sends("Idempotency-Replayed"),
    "content": {
        MEDIA_TYPE: {
            "schema": {"type": "string"},
            "example": 'data: {"object": "chat.completion.chunk", "choices": []}\n\ndata: [DONE]\n\n',
        }
    },
}


@router.post(
    "/v1/chat/completions", response_model=ChatCompletionView, responses={200: _STREAM, **_REFUSALS}, tags=["OpenAI"]
)
async def create_chat_completion(
    request: Request,
    caller: CurrentCaller,
    body: ChatBody,
    idempotency_key: Annotated[
        Text | None, Header(min_length=1, max_length=255, description=_KEY, examples=["paris-1"])
    ] = None,
) -> Response:
    """Ask an agent, a council or an alias as a model of OpenAI's API. The name of the conversation is the first of the
    headers `X-Conversation-Id`, `X-OpenWebUI-Chat-Id`, `X-Session-Id` and `X-Chat-Id`, `metadata.session_id` and
    `conversation_id`. Without a name, the messages find the conversation."""
    chat = _read(request.headers, await request.json(), body, caller, idempotency_key)
    take = partial(take_chat, Runner(database(), provider(), seconds_left(request)), chat)
    is_call = chat.model is None
    if not body.stream:
        outcome = take()
        conclude(caller.tenant_id, outcome)
        failed = failure_of(request.scope, outcome)
        return failed or JSONResponse(completion_of(outcome, body.model, is_call=is_call), headers=_headers(outcome))
    opened = open_live(LiveTurn(take, partial(conclude, caller.tenant_id)))
    if opened.outcome is not None and (failed := failure_of(request.scope, opened.outcome)):
        return failed
    options = body.stream_options
    encoder = ChatChunks(body.model, is_call=is_call, with_usage=bool(options and options.include_usage))
    return opened.answer(encoder, _headers(opened.outcome))


def _read(
    headers: Mapping[str, str], sent: Mapping[str, Any], body: ChatBody, caller: Caller, idempotency_key: str | None
) -> ChatTurn:
    """Read the request. Raises Unsupported, InvalidRequest or InvalidMessage."""
    texts, name = read_texts(body), conversation_name(headers, body)
    alias = body.model.removeprefix(CALL_PREFIX) if body.model.startswith(CALL_PREFIX) else None
    if alias is None and is_task(headers, texts.message):
        alias = settings().summary_alias
    if alias is None:
        check_sizes(texts)
    caps = [cap for cap in (body.max_tokens, body.max_completion_tokens) if cap is not None]
    return ChatTurn(
        actor=caller.actor,
        request_hash=hash_request(caller.actor, sent, name),
        message=texts.message,
        model=body.model if alias is None else None,
        alias=alias,
        lines=texts.lines,
        instructions=texts.instructions,
        options=Options(min(caps, default=None), body.temperature, None if alias is None else texts.prompt),
        name=name,
        idempotency_key=idempotency_key,
        is_retry=_has_retried(headers.get(_RETRIES, "")),
        api_key_id=UUID(caller.key_id) if caller.key_id else None,
    )


def _has_retried(count: str) -> bool:
    """Return whether an SDK of OpenAI says that this is a retry."""
    return count.isdecimal() and count.strip("0") != ""


def _headers(outcome: TurnOutcome | None) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if outcome is not None and outcome.replayed else {}
