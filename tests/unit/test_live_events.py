"""Tests the turns function with a scripted turn that sends events."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from functions.stream import Stream
from functions.turns import live
from functions.turns.feed import MAX_WAITING_BYTES
from local.gateway.worker import LambdaContext
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Delta, Event, Listener
from shared.errors import JournalUnavailable, SessionDeleted, TurnConflict
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner
from tests.support.gateway import REQUEST_ID, LogLines, event, problem_of, request

TURN_ID = UUID(int=7)
PATH = "/api/v1/sessions/01a20b51-7011-76c2-a132-b2b55a6b4a91/turns"
RUNNING = json.dumps({"id": str(TURN_ID), "status": "running"})
ENDED = json.dumps({"id": str(TURN_ID), "status": "completed", "output": "ü\u2028"}, ensure_ascii=False)
STARTED = Event("turn", RUNNING, "0")
LAST = Event("turn.ended", ENDED, "end")
OUTCOME = TurnOutcome(TURN_ID, "completed", ENDED, published=True)
SECRET = "the prompt of a tenant"

Play = Callable[[Listener], TurnOutcome]
Post = Callable[..., Any]


@pytest.fixture
def post(environment: pytest.MonkeyPatch, log_lines: LogLines, context: LambdaContext) -> Post:
    """Posts a turn that plays a script; headers are for its request."""
    from functions.turns.handler import handler

    def post(play: Play, /, **headers: str) -> Any:
        def take_turn(runner: Runner, posted: TurnRequest, listener: Listener | None = None) -> TurnOutcome:
            return play(listener or (lambda _: None))

        environment.setattr("functions.turns.handler.take_turn", take_turn)
        asked = request("POST", PATH, {"message": "hello"}, headers={"Accept": "text/event-stream"} | headers)
        asked["requestContext"]["authorizer"] = event("turns_post")["requestContext"]["authorizer"]
        return handler(asked, context)

    return post


def playing(*items: Event | Delta, outcome: TurnOutcome = OUTCOME, error: Exception | None = None) -> Play:
    def play(listener: Listener) -> TurnOutcome:
        for item in items:
            listener(item)
        if error is not None:
            raise error
        return outcome

    return play


def stream_of(answer: Any) -> Stream:
    assert isinstance(answer, Stream)
    return answer


def read(pieces: Iterator[bytes]) -> list[dict[str, Any]]:
    """The events of a stream, each with its fields, checked for its form."""
    events = []
    for block in b"".join(pieces).decode().split("\n\n")[:-1]:
        if block == ":":
            events.append({"comment": True})
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert len(fields) == block.count("\n") + 1, "no field twice"
        events.append(fields | {"data": json.loads(fields["data"])})
    return events


def test_stream_has_the_events_of_the_turn_with_its_headers(post: Post) -> None:
    started = Event("reply.started", '{"position":0}', "1.1", 0)
    reset = Event("reply.reset", '{"position":0}', None, 0)
    found = stream_of(post(playing(STARTED, started, Delta(0, "a\nü"), reset, LAST)))
    assert (found.status, list(found.cookies)) == (200, [])
    assert found.headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "location": f"/live/api/v1/turns/{TURN_ID}",
    }
    assert read(found.body) == [
        {"event": "turn", "id": "0", "data": json.loads(RUNNING)},
        {"event": "reply.started", "id": "1.1", "data": {"position": 0}},
        {"event": "reply.delta", "data": {"position": 0, "text": "a\nü"}},
        {"event": "reply.reset", "data": {"position": 0}},
        {"event": "turn.ended", "id": "end", "data": json.loads(ENDED)},
    ]


def test_last_event_has_the_bytes_of_the_stored_turn(post: Post) -> None:
    found = b"".join(stream_of(post(playing(STARTED, LAST))).body)
    assert found.endswith(f"data: {ENDED}\n\n".encode())


def test_event_reaches_the_reader_before_the_turn_goes_on(post: Post) -> None:
    read_first, order = threading.Event(), list[str]()

    def play(listener: Listener) -> TurnOutcome:
        listener(STARTED)
        assert read_first.wait(10), "the first event was held back"
        order.append("turn goes on")
        listener(LAST)
        return OUTCOME

    body = stream_of(post(play)).body
    assert b"event: turn\n" in next(body)
    order.append("first event read")
    read_first.set()
    assert b"turn.ended" in b"".join(body)
    assert order == ["first event read", "turn goes on"]


@pytest.mark.parametrize(
    ("replayed", "status", "header"),
    [(True, "completed", "true"), (True, "failed", "true"), (False, "failed", None), (False, "running", None)],
)
def test_replay_is_marked_in_the_headers_when_the_turn_had_ended(
    post: Post, replayed: bool, status: Any, header: str | None
) -> None:
    def play(listener: Listener) -> TurnOutcome:
        body = json.dumps({"id": str(TURN_ID), "status": status})
        listener(Event("turn", body, "0"))
        # The outcome comes after the events.
        time.sleep(0.05)
        listener(Event("turn.ended", body, "end"))
        return TurnOutcome(TURN_ID, status, body, replayed=replayed)

    found = stream_of(post(play))
    assert found.headers.get("idempotency-replayed") == header
    assert [each["event"] for each in read(found.body)] == ["turn", "turn.ended"]


def test_client_that_does_not_wait_gets_json(post: Post) -> None:
    accepted = TurnOutcome(TURN_ID, "accepted", '{"status":"accepted"}')
    answer = post(playing(outcome=accepted), Prefer="respond-async")
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (202, "application/json")


def test_client_that_prefers_json_gets_the_turn(post: Post) -> None:
    answer = post(playing(STARTED, LAST), Accept="application/json, text/event-stream")
    assert (answer["statusCode"], answer["body"]) == (201, ENDED)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TurnConflict(str(TURN_ID), 3), 409, "turn_conflict"),
        (SessionDeleted(), 410, "session_deleted"),
        (JournalUnavailable(), 503, "journal_unavailable"),
        (LookupError(SECRET), 500, "internal_error"),
    ],
)
def test_turn_that_is_refused_is_a_problem_with_its_status(
    post: Post, error: Exception, status: int, code: str
) -> None:
    answer = post(playing(error=error))
    problem_of(answer, status, code)
    assert SECRET not in answer["body"]


@pytest.mark.parametrize(
    ("error", "code", "metric"),
    [
        (JournalUnavailable(), "journal_unavailable", "JournalUnavailable"),
        (LookupError(SECRET), "internal_error", "UnexpectedErrors"),
    ],
)
def test_error_after_the_first_event_is_an_event_and_ends_the_stream(
    post: Post,
    log_lines: LogLines,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: str,
    metric: str,
) -> None:
    planned = Event("plan", "{}", "1")
    found = read(stream_of(post(playing(STARTED, planned, Delta(0, "a"), error=error))).body)
    assert [each["event"] for each in found] == ["turn", "plan", "reply.delta", "error"]
    problem = found[-1]["data"]
    assert (problem["code"], problem["request_id"]) == (code, REQUEST_ID)
    assert found[-1]["id"] == "1", "the client goes on from what it has seen"
    assert f'"{metric}":[1.0]' in capsys.readouterr().out
    (line,) = log_lines()
    assert (line["level"], line["cause"]["type"]) == ("ERROR", type(error).__name__)
    assert SECRET not in json.dumps([line, problem])


def test_turn_that_is_handed_over_is_sent_to_the_queue(post: Post, environment: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, float]] = []
    environment.setattr("functions.turns.running.dispatch", lambda *message: sent.append(message))
    handed_over = TurnOutcome(TURN_ID, "running", RUNNING, handed_over=True, wait_s=4.5)
    found = stream_of(post(playing(STARTED, Event("turn.handed_over", RUNNING, "0"), outcome=handed_over)))
    assert [each["event"] for each in read(found.body)] == ["turn", "turn.handed_over"]
    ((messages, wait_s),) = sent
    assert wait_s == 4.5
    assert [message.turn_id for message in messages] == [TURN_ID]  # type: ignore[attr-defined]


def test_failure_after_the_last_event_is_only_logged(
    post: Post, environment: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    def fail(_: TurnOutcome) -> None:
        raise LookupError(SECRET)

    environment.setattr("functions.turns.running.telemetry.emit", fail)
    found = read(stream_of(post(playing(STARTED, LAST))).body)
    assert [each["event"] for each in found] == ["turn", "turn.ended"]
    (line,) = log_lines()
    assert line["message"] == "unexpected error"


def test_comment_keeps_the_connection_alive_while_a_model_thinks(post: Post, environment: pytest.MonkeyPatch) -> None:
    environment.setattr(live, "COMMENT_S", 0.05)

    def play(listener: Listener) -> TurnOutcome:
        listener(STARTED)
        time.sleep(0.3)
        listener(LAST)
        return OUTCOME

    events = read(stream_of(post(play)).body)
    assert 3 <= events.count({"comment": True}) <= 6
    assert [each["event"] for each in events if "event" in each] == ["turn", "turn.ended"]


class Slow:
    """A turn that is under way until it is let go."""

    def __init__(self) -> None:
        self.go_on, self.is_done = threading.Event(), False

    def __call__(self, listener: Listener) -> TurnOutcome:
        listener(STARTED)
        self.go_on.wait(10)
        time.sleep(0.1)
        self.is_done = True
        listener(LAST)
        return OUTCOME


def test_stream_ends_only_when_the_turns_thread_has(post: Post, environment: pytest.MonkeyPatch) -> None:
    """Lambda freezes the process then."""
    emitted: list[TurnOutcome] = []

    def emit(outcome: TurnOutcome) -> None:
        time.sleep(0.1)
        emitted.append(outcome)

    environment.setattr("functions.turns.running.telemetry.emit", emit)
    slow = Slow()
    slow.go_on.set()
    for _ in stream_of(post(slow)).body:
        pass
    assert (slow.is_done, emitted) == (True, [OUTCOME])
    assert not [thread for thread in threading.enumerate() if thread.name == "turn"]


def test_turn_goes_on_to_its_end_when_the_stream_is_closed(post: Post, environment: pytest.MonkeyPatch) -> None:
    emitted: list[TurnOutcome] = []
    environment.setattr("functions.turns.running.telemetry.emit", emitted.append)
    slow = Slow()
    body = stream_of(post(slow)).body
    next(body)
    slow.go_on.set()
    body.close()  # type: ignore[attr-defined]
    assert (slow.is_done, emitted) == (True, [OUTCOME])


def test_turn_goes_on_to_its_end_when_its_first_event_cannot_be_answered(post: Post) -> None:
    slow = Slow()

    def play(listener: Listener) -> TurnOutcome:
        listener(Event("turn", "no json", "0"))
        slow.go_on.set()
        return slow(lambda _: None)

    problem_of(post(play), 500, "internal_error")
    assert slow.is_done


def test_slow_reader_does_not_slow_the_turn(post: Post) -> None:
    """Its memory is bounded, and it misses no event."""
    seconds: list[float] = []

    def play(listener: Listener) -> TurnOutcome:
        listener(STARTED)
        began = time.monotonic()
        for _ in range(2000):
            listener(Delta(0, "x" * 1000))
        listener(Event("reply.completed", "{}", "1.1c", 0))
        listener(LAST)
        seconds.append(time.monotonic() - began)
        return OUTCOME

    body = stream_of(post(play)).body
    time.sleep(0.3)
    found = read(body)
    assert seconds[0] < 0.25
    assert [each["event"] for each in found if each["event"] != "reply.delta"] == [
        "turn",
        "reply.completed",
        "turn.ended",
    ]
    text = "".join(each["data"]["text"] for each in found if each["event"] == "reply.delta")
    assert 0 < len(text) <= 2 * MAX_WAITING_BYTES
