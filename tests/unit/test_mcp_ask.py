"""Tests the tool ask_council of the turns function: arguments, results, refusals and progress."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from functions.stream import Stream
from functions.turns.mcp_progress import INTERVAL_S
from functions.turns.mcp_results import MAX_RESULT_BYTES
from local.gateway.worker import LambdaContext
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Delta, Event, Listener
from shared.errors import (
    BudgetExceeded,
    IdempotencyKeyReused,
    JournalUnavailable,
    NotFound,
    PantheonError,
    RateLimited,
    SessionDeleted,
    TurnConflict,
    UnknownModel,
)
from shared.turns.question import Question
from shared.turns.run import Runner
from tests.support import mcp_exchange
from tests.support.gateway import REQUEST_ID, Handler, LogLines
from tests.support.mcp_exchange import SESSION_ID, TURN_ID, Take, asking, playing, refusing, stateless, stored, told

SECRET = "the prompt of a tenant"
PLAN = {"selected_agent_keys": ["writer", "critic"]}
BEGUN = Event("turn", json.dumps({"plan": None}), None)
Post = Callable[..., Any]


@pytest.fixture
def post(turns: Handler, environment: pytest.MonkeyPatch, context: LambdaContext) -> Iterator[Post]:
    """Posts a message whose turn is played by a function."""

    def post(body: object, take: Take, /, **headers: str) -> Any:
        environment.setattr("functions.turns.mcp_methods.take_question", take)
        return mcp_exchange.post(turns, context, body, **headers)

    yield post
    assert not [thread for thread in threading.enumerate() if thread.name == "turn"]


@pytest.fixture
def ask(post: Post) -> Callable[..., dict[str, Any]]:
    """The result of a question with these arguments."""

    def ask(take: Take, **arguments: object) -> dict[str, Any]:
        result: dict[str, Any] = told(post(asking(**arguments), take))["result"]
        return result

    return ask


def started(position: int, name: str) -> Event:
    return Event("reply.started", json.dumps({"position": position, "name": name}), None, position)


def completed(position: int) -> Event:
    return Event("reply.completed", json.dumps({"position": position}), None, position)


def asked_by(ask: Callable[..., Any], **arguments: object) -> tuple[list[Question], dict[str, Any]]:
    """The questions that reach the turn, and the result."""
    questions = list[Question]()

    def take(_: Runner, question: Question, __: Listener) -> TurnOutcome:
        questions.append(question)
        return TurnOutcome(TURN_ID, "completed", stored())

    return questions, ask(take, **arguments)


def test_answer_is_text_and_the_turn(ask: Callable[..., Any]) -> None:
    (question,), result = asked_by(ask, session_id=str(SESSION_ID), idempotency_key="k")
    assert (question.key, question.message, question.session_id, question.idempotency_key) == (
        "writer",
        "hello",
        SESSION_ID,
        "k",
    )
    assert result["content"] == [{"type": "text", "text": "Hi."}]
    assert (result["structuredContent"], result["isError"]) == (json.loads(stored()), False)
    assert question.has_own_key
    assert result["_meta"] == {"pantheon/idempotency_key": "k"}


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_argument_counts_as_left_out(ask: Callable[..., Any], blank: str | None) -> None:
    (question,), result = asked_by(ask, session_id=blank, idempotency_key=blank)
    assert question.session_id is None
    assert not question.has_own_key
    assert question.idempotency_key == result["_meta"]["pantheon/idempotency_key"]
    (other,), _ = asked_by(ask)
    assert other.idempotency_key != question.idempotency_key


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"council_or_agent": None}, "invalid_request"),
        ({"council_or_agent": ""}, "invalid_request"),
        ({"council_or_agent": 7}, "invalid_request"),
        ({"council_or_agent": "a\x00"}, "invalid_request"),
        ({"message": None}, "invalid_request"),
        ({"message": ["hello"]}, "invalid_request"),
        ({"message": "\ud800"}, "invalid_request"),
        ({"message": " \n"}, "invalid_message"),
        ({"message": "x" * 32_001}, "invalid_message"),
        ({"idempotency_key": "x" * 256}, "invalid_request"),
        ({"idempotency_key": 7}, "invalid_request"),
        ({"session_id": "x"}, "not_found"),
        ({"session_id": 7}, "invalid_request"),
        ({"temperature": 1}, "invalid_request"),
    ],
)
def test_bad_argument_is_a_refusal_that_a_model_can_read(
    ask: Callable[..., Any], arguments: dict[str, object], code: str
) -> None:
    questions, result = asked_by(ask, **arguments)
    assert (questions, result["isError"]) == ([], True)
    assert result["_meta"]["pantheon/problem"]["code"] == code
    assert result["content"][0]["text"].startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (BudgetExceeded(), 402, "budget_exceeded: This month's budget does not cover the call."),
        (NotFound("There is no such session."), 404, "not_found: There is no such session."),
        (UnknownModel(), 404, "unknown_model: There is no enabled agent"),
        (TurnConflict(str(TURN_ID), 3), 409, f"Try again in 3 seconds. The active turn is {TURN_ID}."),
        (SessionDeleted(), 410, "session_deleted: "),
        (IdempotencyKeyReused(), 422, "idempotency_key_reused: "),
        (RateLimited(4), 429, "Try again in 4 seconds."),
        (JournalUnavailable(), 503, "journal_unavailable: "),
    ],
)
def test_refusal_is_an_error_with_code_and_detail(
    ask: Callable[..., Any], error: PantheonError, status: int, said: str
) -> None:
    result = ask(refusing(error))
    problem = result["_meta"]["pantheon/problem"]
    assert (result["isError"], problem["status"], problem["code"]) == (True, status, error.code)
    assert said in result["content"][0]["text"]
    assert "structuredContent" not in result


@pytest.mark.parametrize("accept", ["application/json", mcp_exchange.BOTH])
def test_unexpected_error_tells_only_the_request(post: Post, log_lines: LogLines, accept: str) -> None:
    answer = post(asking(), refusing(LookupError(SECRET)), Accept=accept)
    error = told(answer)["error"]
    assert (error["code"], error["data"]) == (-32603, {"request_id": REQUEST_ID})
    assert SECRET not in json.dumps([answer["body"], log_lines()])


def test_error_after_the_turn_ended_changes_no_answer(
    ask: Callable[..., Any], environment: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(SECRET)

    environment.setattr("functions.turns.mcp_methods.conclude", fail)
    assert ask(playing())["content"] == [{"type": "text", "text": "Hi."}]
    assert [line["message"] for line in log_lines()] == ["unexpected error"]


def test_failed_turn_is_an_error_with_its_turn(ask: Callable[..., Any]) -> None:
    error = {"code": "no_reply", "detail": "No agent answered."}
    body = stored("failed", error=error)
    result = ask(playing(body=body, status="failed"))
    assert (result["isError"], result["structuredContent"]) == (True, json.loads(body))
    assert result["content"][0]["text"].startswith("no_reply: No agent answered.")


def test_cancelled_turn_is_an_error(ask: Callable[..., Any]) -> None:
    result = ask(playing(body=stored("cancelled"), status="cancelled"))
    assert (result["isError"], result["content"][0]["text"]) == (True, "cancelled: The turn was cancelled.")


def test_turn_that_goes_on_is_answered_with_its_id_and_key(ask: Callable[..., Any]) -> None:
    result = ask(playing(body=stored("running"), status="running"))
    text, key = result["content"][0]["text"], result["_meta"]["pantheon/idempotency_key"]
    assert (result["isError"], result["structuredContent"]["status"]) == (False, "running")
    assert str(TURN_ID) in text
    assert repr(key) in text
    # Claude Code and VS Code show a model nothing but this.
    assert (result["structuredContent"]["note"], result["structuredContent"]["idempotency_key"]) == (text, key)


@pytest.mark.parametrize("text", ["x" * 400_000, "ü" * 200_000, "\n" * 300_000, "😀" * 90_000])
def test_long_answer_fits_into_an_event_and_says_where_it_is(ask: Callable[..., Any], text: str) -> None:
    result = ask(playing(body=stored(text=text)))
    size = len(json.dumps(result, separators=(",", ":")))
    assert MAX_RESULT_BYTES * 0.9 < size <= MAX_RESULT_BYTES
    told, turn = result["content"][0]["text"], result["structuredContent"]
    assert told.endswith(f"GET /api/v1/turns/{TURN_ID} has all of it.)")
    assert text.startswith(told.partition("\n\n(")[0])
    assert text.startswith(turn["output"])
    assert turn["replies"][0]["stop_reason"] == "size_limit"
    assert told.endswith(f"\n\n({turn['note']})")


def test_long_turn_that_goes_on_keeps_its_key_in_its_note(ask: Callable[..., Any]) -> None:
    result = ask(playing(body=stored("running", text="x" * 1_000_000), status="running"))
    note = result["structuredContent"]["note"]
    assert repr(result["_meta"]["pantheon/idempotency_key"]) in note
    assert note.endswith("has all of it.")


def test_progress_names_the_agents_that_answer(post: Post) -> None:
    plan = Event("plan", json.dumps(PLAN), None)
    steps = [BEGUN, plan, started(0, "Writer"), started(1, "Critic"), completed(0), completed(1)]
    answer = post(asking(token="t"), stepping(*steps))
    *notes, last = told(answer)
    assert [note["params"]["message"] for note in notes] == [
        "0 of 2 replies are ready.",
        "Writer answers. 0 of 2 replies are ready.",
        "Writer and Critic answer. 0 of 2 replies are ready.",
        "Critic answers. 1 of 2 replies are ready.",
        "2 of 2 replies are ready.",
    ]
    values = [note["params"]["progress"] for note in notes]
    assert all(later > earlier for earlier, later in zip([0, *values], values, strict=False))
    assert {(note["method"], note["params"]["progressToken"]) for note in notes} == {("notifications/progress", "t")}
    assert last["result"]["isError"] is False


@pytest.mark.parametrize(("token", "note"), [(7, "notifications/progress"), (None, None), (True, None), (1.5, None)])
def test_silent_turn_sends_progress_at_every_interval(
    post: Post, environment: pytest.MonkeyPatch, token: object, note: str | None
) -> None:
    environment.setattr("functions.turns.mcp_progress.INTERVAL_S", 0.05)
    first = [*told(post(asking(token=token), stepping(pause_s=0.3)))][:-1]
    assert len(first) >= 3
    assert {each and each["method"] for each in first} == {note}


def test_interval_is_below_ten_seconds() -> None:
    assert INTERVAL_S < 10


def test_turn_that_streams_text_sends_progress_at_every_interval(post: Post, environment: pytest.MonkeyPatch) -> None:
    environment.setattr("functions.turns.mcp_progress.INTERVAL_S", 0.1)
    pieces = [Delta(0, "x")] * 30
    notes = told(post(asking(token="t"), stepping(BEGUN, *pieces, pause_s=0.01)))[:-1]
    assert 2 <= len(notes) <= 10


def test_json_answer_has_no_notifications(post: Post, environment: pytest.MonkeyPatch) -> None:
    environment.setattr("functions.turns.mcp_progress.INTERVAL_S", 0.05)
    answer = post(asking(token="t"), stepping(pause_s=0.2), Accept="application/json")
    assert told(answer)["result"]["content"] == [{"type": "text", "text": "Hi."}]


def test_stream_that_nobody_reads_waits_for_its_turn(post: Post, environment: pytest.MonkeyPatch) -> None:
    environment.setattr("functions.turns.mcp_progress.INTERVAL_S", 0.05)
    answer = post(asking(token="t"), stepping(pause_s=0.3))
    assert isinstance(answer, Stream)
    next(iter(answer.body))
    answer.body.close()  # type: ignore[attr-defined]


def test_stateless_question_is_answered_as_others_are(post: Post) -> None:
    sent, headers = stateless(asking())
    result = told(post(sent, playing(), **headers))["result"]
    assert (result["resultType"], result["content"]) == ("complete", [{"type": "text", "text": "Hi."}])
    assert "pantheon/idempotency_key" in result["_meta"]


def test_question_has_its_caller(post: Post) -> None:
    questions = list[Question]()

    def take(_: Runner, question: Question, __: Listener) -> TurnOutcome:
        questions.append(question)
        return TurnOutcome(UUID(int=7), "completed", stored())

    post(asking(), take)
    assert (questions[0].actor.tenant_id, questions[0].actor.user_id) != ("", "")


def stepping(*events: Event | Delta, pause_s: float = 0.05) -> Take:
    """A turn that tells its events one at a time, with a pause after each."""

    def take(_: Runner, __: Question, listener: Listener) -> TurnOutcome:
        for event in events:
            listener(event)
            time.sleep(pause_s)
        time.sleep(0 if events else pause_s)
        return TurnOutcome(TURN_ID, "completed", stored())

    return take
