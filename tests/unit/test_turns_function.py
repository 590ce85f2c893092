"""Tests the turns function with a turn that is handed over to the queue."""

import json
import time
from collections.abc import Sequence
from uuid import UUID

import pytest

from local.gateway.worker import LambdaContext
from shared.domain.message import TurnMessage
from shared.domain.outcome import TurnOutcome
from shared.names import Env
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner
from tests.support.gateway import Handler, LogLines, event, request

TURN_ID = UUID(int=7)
PATH = "/api/v1/sessions/01a20b51-7011-76c2-a132-b2b55a6b4a91/turns"
Taken = list[TurnRequest]


@pytest.fixture
def handed_over(turns: Handler, environment: pytest.MonkeyPatch) -> Taken:
    """Puts something else in the place of taking a turn: each is handed over. The requests that came."""
    taken: Taken = []

    def take_turn(_: Runner, posted: TurnRequest) -> TurnOutcome:
        taken.append(posted)
        return TurnOutcome(TURN_ID, "accepted", '{"status":"accepted"}', handed_over=True, wait_s=4.5)

    environment.setattr("functions.turns.handler.take_turn", take_turn)
    return taken


def post(turns: Handler, context: LambdaContext, **headers: str) -> int:
    asked = request("POST", PATH, {"message": "hello"}, headers=headers)
    asked["requestContext"]["authorizer"] = event("turns_post")["requestContext"]["authorizer"]
    status: int = turns(asked, context)["statusCode"]
    return status


@pytest.mark.parametrize(
    ("prefer", "later"),
    [
        ("respond-async", True),
        ("Respond-Async", True),
        ("wait=10, respond-async", True),
        ("respond-async; x=1 ,wait=10", True),
        ("respond-sync", False),
        ("do-not-respond-async", False),
        ('x="respond-async"', False),
        ("", False),
    ],
)
def test_prefer_header_means_that_the_client_does_not_wait(
    turns: Handler, handed_over: Taken, context: LambdaContext, prefer: str, later: bool
) -> None:
    assert post(turns, context, prefer=prefer) == 202
    assert [posted.later for posted in handed_over] == [later]


def test_turn_that_goes_on_is_sent_to_the_queue(
    turns: Handler, handed_over: Taken, context: LambdaContext, environment: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Sequence[TurnMessage], float]] = []
    environment.setattr("functions.turns.running.dispatch", lambda *message: sent.append(message))
    assert post(turns, context) == 202
    assert sent == [([TurnMessage(TURN_ID, "acme")], 4.5)]


def test_answer_is_unchanged_when_the_queue_cannot_be_reached(
    turns: Handler,
    handed_over: Taken,
    context: LambdaContext,
    environment: pytest.MonkeyPatch,
    log_lines: LogLines,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.setenv(Env.QUEUE_URL, "http://127.0.0.1:1/turns")
    environment.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    environment.setenv("AWS_ACCESS_KEY_ID", "fake")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    assert post(turns, context) == 202
    assert '"UnsentTurns":[1.0]' in capsys.readouterr().out
    (line,) = log_lines()
    assert (line["message"], line["level"], line["error"]) == ("turns not sent", "WARNING", "EndpointConnectionError")
    assert "acme" not in json.dumps(line)


@pytest.mark.parametrize(("invocation_s", "turn_s"), [(300.0, 240.0), (30.0, 28.0)])
def test_turn_leaves_its_invocation_time_for_the_last_bytes(
    turns: Handler, handed_over: Taken, environment: pytest.MonkeyPatch, invocation_s: float, turn_s: float
) -> None:
    left: list[float] = []

    def take_turn(runner: Runner, _: TurnRequest) -> TurnOutcome:
        left.append(runner.seconds_left())
        return TurnOutcome(TURN_ID, "accepted", "{}")

    environment.setattr("functions.turns.handler.take_turn", take_turn)
    post(turns, LambdaContext("unit", "request-1", time.monotonic() + invocation_s))
    assert turn_s - 1 < left[0] <= turn_s
