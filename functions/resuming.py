"""Run the turn that a message of a queue names on from its journal."""

from typing import TYPE_CHECKING

from functions.dispatch import dispatch
from shared import telemetry
from shared.domain.message import TurnMessage
from shared.errors import SessionDeleted
from shared.turns.run import Runner, resume_turn

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


class TurnGivenUp(Exception):
    """Nobody could finish the turn, and it has ended."""


def resume(runner: Runner, record: "SQSRecord") -> None:
    """Run the message's turn. Raises if the queue must keep the message: what kept the turn from being run, and
    TurnGivenUp."""
    try:
        _resume(runner, TurnMessage.from_json(record.body))
    except Exception as error:
        telemetry.report("turn not resumed", error, message_id=record.message_id)
        # Lambda counts no error, because the answer names the failed messages.
        telemetry.count_failure()
        raise


def _resume(runner: Runner, message: TurnMessage) -> None:
    try:
        outcome = resume_turn(runner, message.tenant_id, message.turn_id)
    except SessionDeleted:
        # It was ended, without text.
        return
    if outcome is None:
        return
    telemetry.emit(outcome)
    if outcome.handed_over:
        dispatch([message], outcome.wait_s)
    if outcome.abandoned:
        raise TurnGivenUp
