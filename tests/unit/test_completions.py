"""Tests the answers and refusals of the turns function to a chat program, with a scripted turn."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from functions.stream import Stream
from local.gateway.worker import LambdaContext
from shared.domain.money import Usage
from shared.domain.outcome import CallFigures, TurnOutcome
from shared.domain.turn_events import Event, Listener
from shared.errors import (
    BudgetExceeded,
    DatabaseUnavailable,
    PantheonError,
    PublishFailed,
    RateLimited,
    SessionDeleted,
    TurnConflict,
    UnknownModel,
)
from shared.turns.conversations import ChatTurn
from shared.turns.run import Runner
from tests.support.gateway import Handler, LogLines, openai_error_of, request

PATH = "/v1/chat/completions"
HELLO = {"model": "writer", "messages": [{"role": "user", "content": "hello"}]}
TURN_ID = UUID(int=7)
SECRET = "the prompt of a tenant"
Take = Callable[[Runner, ChatTurn, Listener | None], TurnOutcome]
Post = Callable[..., Any]


@pytest.fixture
def post(turns: Handler, environment: pytest.MonkeyPatch, context: LambdaContext) -> Iterator[Post]:
    """Posts a body whose turn is played by a function; headers are for its request."""

    def post(body: object, take: Take | None = None, /, **headers: str) -> Any:
        if take is not None:
            environment.setattr(
                "functions.turns.completions.take_chat",
                lambda runner, chat, listener=None: take(runner, chat, listener),
            )
        return turns(request("POST", PATH, body, headers=headers), context)

    yield post
    assert not [thread for thread in threading.enumerate() if thread.name == "turn"]


def refusing(error: Exception) -> Take:
    def take(_: Runner, __: ChatTurn, ___: Listener | None) -> TurnOutcome:
        raise error

    return take


def stored(status: str = "completed", error: object = None) -> str:
    reply = {
        "name": "Writer",
        "status": "completed",
        "text": "Hi.",
        "position": 0,
        "stop_reason": "end_turn",
        "error": None,
    }
    shown = {"id": str(TURN_ID), "session_id": str(UUID(int=9)), "status": status, "error": error, "mode": "manual"}
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), 1)
    rest = {"plan": {"selected_agent_keys": ["writer"]}, "reviews": None, "usage": {**usage, "reasoning_tokens": 1}}
    money = {"cost_usd": "0.1", "platform_cost_usd": "0"}
    times = {"created_at": "2026-01-02T00:00:00.000000Z", "output": "Hi.", "replies": [reply]}
    return json.dumps(shown | rest | money | times)


def playing(outcome: TurnOutcome) -> Take:
    def take(_: Runner, __: ChatTurn, listener: Listener | None) -> TurnOutcome:
        if listener is not None:
            listener(Event("turn", outcome.body, None))
            listener(Event("turn.ended" if outcome.ended else "turn.handed_over", outcome.body, None))
        return outcome

    return take


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (BudgetExceeded(), 402, {"x-should-retry": "false"}),
        (UnknownModel(param="model"), 404, {"x-should-retry": "false"}),
        (TurnConflict(str(TURN_ID), 3), 409, {"retry-after": "3"}),
        (SessionDeleted(), 410, {"x-should-retry": "false"}),
        (RateLimited(4), 429, {"retry-after": "4"}),
        (PublishFailed(), 500, {}),
        (DatabaseUnavailable(), 503, {}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusal_has_our_code_in_openais_error_form(
    post: Post, error: PantheonError, status: int, headers: dict[str, str], stream: bool
) -> None:
    answer = post({**HELLO, "stream": stream}, refusing(error))
    told = openai_error_of(answer, status, error.code)
    assert (told["message"], told["param"]) == (error.detail, error.extra.get("param"))
    ours = ("x-should-retry", "retry-after")
    assert {name: value for name, value in answer["headers"].items() if name in ours} == headers


@pytest.mark.parametrize("stream", [False, True])
def test_unexpected_error_has_no_text_of_the_exception(post: Post, log_lines: LogLines, stream: bool) -> None:
    answer = post({**HELLO, "stream": stream}, refusing(LookupError(SECRET)))
    openai_error_of(answer, 500, "internal_error")
    assert SECRET not in json.dumps([answer["body"], log_lines()])


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ("{", 400, "invalid_json", None),
        ("[" * 100_000, 400, "invalid_json", None),
        ([], 422, "invalid_request", "body"),
        ({}, 422, "invalid_request", "model"),
        ({"model": "writer"}, 422, "invalid_request", "messages"),
        (HELLO | {"messages": []}, 422, "invalid_request", "messages"),
        (HELLO | {"messages": [{"role": "robot"}]}, 422, "invalid_request", "messages[0].role"),
        (HELLO | {"messages": ["hello"]}, 422, "invalid_request", "messages[0]"),
        (HELLO | {"stream": "yes"}, 422, "invalid_request", "stream"),
        (HELLO | {"stream_options": True}, 422, "invalid_request", "stream_options"),
        (HELLO | {"temperature": 3}, 422, "invalid_request", "temperature"),
        (HELLO | {"max_tokens": 0}, 422, "invalid_request", "max_tokens"),
        (HELLO | {"metadata": {"session_id": 7}}, 422, "invalid_request", "metadata.session_id"),
        (HELLO | {"model": 7}, 422, "invalid_request", "model"),
        (HELLO | {"n": 2}, 400, "unsupported", "n"),
        (HELLO | {"messages": [{"role": "user", "content": " "}]}, 422, "invalid_message", "messages[0].content"),
        (HELLO | {"conversation_id": "x" * 256}, 422, "invalid_request", "conversation_id"),
    ],
)
def test_bad_body_is_refused_with_the_name_of_its_field(
    post: Post, body: object, status: int, code: str, param: str | None
) -> None:
    answer = post(body)
    assert openai_error_of(answer, status, code)["param"] == param
    assert answer["headers"]["x-should-retry"] == "false"


@pytest.mark.parametrize("key", ["x" * 256, "a\x00b"])
def test_bad_idempotency_key_is_refused(post: Post, key: str) -> None:
    assert (
        openai_error_of(post(HELLO, **{"idempotency-key": key}), 422, "invalid_request")["param"] == "idempotency-key"
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [("failed", {"code": "mode_error", "detail": "The mode failed."}, "mode_error"), ("cancelled", None, "cancelled")],
)
def test_turn_without_an_answer_is_502(post: Post, status: Any, error: object, code: str, stream: bool) -> None:
    outcome = TurnOutcome(TURN_ID, status, stored(status, error), replayed=True)
    answer = post({**HELLO, "stream": stream}, playing(outcome))
    openai_error_of(answer, 502, code)
    assert answer["headers"]["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("wait_s", "seconds"), [(0.0, "5"), (7.2, "8")])
def test_turn_that_goes_on_elsewhere_is_503_and_can_be_requested_again(
    post: Post, wait_s: float, seconds: str, stream: bool
) -> None:
    handed_over = TurnOutcome(TURN_ID, "accepted", stored("accepted"), handed_over=True, wait_s=wait_s)

    def take(_: Runner, __: ChatTurn, listener: Listener | None) -> TurnOutcome:
        if listener is not None:
            # Both events are there when the first is read.
            listener(Event("turn", handed_over.body, None))
            listener(Event("turn.handed_over", handed_over.body, None))
        return handed_over

    answer = post({**HELLO, "stream": stream}, take)
    if isinstance(answer, Stream):
        assert b"turn_handed_over" in b"".join(answer.body)
        return
    openai_error_of(answer, 503, "turn_handed_over")
    assert (answer["headers"]["x-should-retry"], answer["headers"]["retry-after"]) == ("true", seconds)


@pytest.mark.parametrize("replayed", [False, True])
def test_answer_marks_a_replay_in_its_headers(post: Post, replayed: bool) -> None:
    answer = post(HELLO, playing(TurnOutcome(TURN_ID, "completed", stored(), replayed=replayed)))
    assert answer["statusCode"] == 200
    assert answer["headers"].get("idempotency-replayed") == ("true" if replayed else None)


def test_call_has_the_id_of_its_last_call(post: Post) -> None:
    calls = [CallFigures("agent", "fast", "succeeded", Usage(), 1.0, 0.0, UUID(int=number)) for number in (1, 2)]
    answer = post(HELLO | {"model": "alias/fast"}, playing(TurnOutcome(TURN_ID, "completed", stored(), calls)))
    assert json.loads(answer["body"])["id"] == f"chatcmpl-{UUID(int=2)}"


@pytest.mark.parametrize(
    ("count", "retries"),
    [("0", False), ("1", True), ("10", True), ("", False), ("-1", False), ("x", False), ("²", False)],
)
def test_request_that_an_sdk_sends_again_is_recognised(post: Post, count: str, retries: bool) -> None:
    taken: list[ChatTurn] = []

    def take(_: Runner, chat: ChatTurn, __: Listener | None) -> TurnOutcome:
        taken.append(chat)
        return TurnOutcome(TURN_ID, "completed", stored())

    post(HELLO, take, **{"x-stainless-retry-count": count})
    assert [chat.is_retry for chat in taken] == [retries]


@pytest.mark.parametrize(
    ("fields", "cap", "temperature"),
    [
        ({}, None, None),
        ({"max_tokens": 5, "temperature": 1}, 5, 1.0),
        ({"max_completion_tokens": 6, "temperature": None}, 6, None),
        ({"max_tokens": 7, "max_completion_tokens": 6}, 6, None),
    ],
)
def test_options_of_a_request_are_read(
    post: Post, fields: dict[str, Any], cap: int | None, temperature: float | None
) -> None:
    taken: list[ChatTurn] = []

    def take(_: Runner, chat: ChatTurn, __: Listener | None) -> TurnOutcome:
        taken.append(chat)
        return TurnOutcome(TURN_ID, "completed", stored())

    post(HELLO | fields, take)
    (chat,) = taken
    assert (chat.options.max_output_tokens, chat.options.temperature, chat.options.messages) == (cap, temperature, None)
