"""Tests the worker's handler with SQS events: which message runs which turn, and which comes back."""

import json
from collections.abc import Callable
from uuid import UUID

import pytest

from functions import resuming
from functions.worker import handler as worker
from local.gateway.worker import LambdaContext
from shared.domain.outcome import TurnOutcome
from shared.errors import JournalUnavailable
from shared.turns.run import Runner
from tests.support import sqs
from tests.support.gateway import LogLines
from tests.support.sqs import event

TURNS = [UUID(int=number) for number in range(3)]
SECRET = "the prompt of a tenant"

Resume = Callable[[Runner, str, UUID], TurnOutcome | None]


def message(turn_id: UUID, tenant_id: str = "acme") -> str:
    return sqs.message(turn_id, tenant_id)


@pytest.fixture
def resumes(environment: pytest.MonkeyPatch, log_lines: LogLines) -> Callable[[Resume], None]:
    """Puts something else in the place of running a turn."""
    return lambda resume: environment.setattr(resuming, "resume_turn", resume)


def test_every_message_runs_its_turn_for_its_tenant(
    resumes: Callable[[Resume], None], context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[tuple[str, UUID]] = []
    left: list[float] = []

    def resume(runner: Runner, tenant_id: str, turn_id: UUID) -> TurnOutcome:
        run.append((tenant_id, turn_id))
        left.append(runner.seconds_left())
        return TurnOutcome(turn_id, "completed", "{}", published=True)

    resumes(resume)
    answer = worker.handler(event(message(TURNS[0]), message(TURNS[1], "globex")), context)
    assert answer == {"batchItemFailures": []}
    assert run == [("acme", TURNS[0]), ("globex", TURNS[1])]
    assert all(0 < seconds <= 30 for seconds in left)
    assert capsys.readouterr().out.count('"Turns":[1.0]') == 2


def test_message_of_a_turn_that_is_running_elsewhere_is_deleted(
    resumes: Callable[[Resume], None], context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    resumes(lambda *_: None)
    assert worker.handler(event(message(TURNS[0])), context) == {"batchItemFailures": []}
    assert capsys.readouterr().out == ""


def test_only_failed_messages_come_back_and_are_logged_without_their_text(
    resumes: Callable[[Resume], None], context: LambdaContext, log_lines: LogLines
) -> None:
    def resume(_runner: Runner, _tenant_id: str, turn_id: UUID) -> None:
        if turn_id == TURNS[1]:
            raise JournalUnavailable(SECRET)

    resumes(resume)
    answer = worker.handler(event(*map(message, TURNS)), context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    (line,) = log_lines()
    assert (line["message"], line["message_id"]) == ("turn not resumed", "message-1")
    assert (line["cause"]["type"], line["correlation_id"]) == ("JournalUnavailable", "lambda-request-1")
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        SECRET,
        "null",
        "[]",
        json.dumps(SECRET),
        "{}",
        json.dumps({"tenant_id": "acme"}),
        json.dumps({"turn_id": str(TURNS[0])}),
        json.dumps({"tenant_id": "acme", "turn_id": SECRET}),
        json.dumps({"tenant_id": "acme", "turn_id": 7}),
        "[" * 100_000,
    ],
    ids=lambda body: body[:30],
)
def test_a_message_that_cannot_be_read_comes_back_and_runs_nothing(
    resumes: Callable[[Resume], None], context: LambdaContext, log_lines: LogLines, body: str
) -> None:
    run: list[UUID] = []
    resumes(lambda _, __, turn_id: run.append(turn_id))
    answer = worker.handler(event(body, message(TURNS[2])), context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert run == [TURNS[2]]
    (line,) = log_lines()
    assert SECRET not in json.dumps(line)
