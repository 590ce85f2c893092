"""Resume the turn that a queue's message names from its journal."""

from typing import TYPE_CHECKING

from functions.dispatch import dispatch
from shared import telemetry
from shared.domain.message import TurnMessage
from shared.errors import SessionDeleted
from shared.turns.run import Runner, resume_turn

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


class TurnGivenUp(Exception):
    """The turn was given up and has ended as failed."""


def resume(runner: Runner, record: "SQSRecord") -> None:
    """Run the message's turn. Raises TurnGivenUp, or the error of the run, if the queue must keep the message."""
    try:
        _resume(runner, TurnMessage.from_json(record.body))
    except Exception as error:
        telemetry.report("turn not resumed", error, message_id=record.message_id)
        # Lambda counts no error here, because the answer names the failed messages.
        telemetry.count_failure()
        raise


def _resume(runner: Runner, message: TurnMessage) -> None:
    try:
        outcome = resume_turn(runner, message.tenant_id, message.turn_id)
    except SessionDeleted:
        # The turn has ended without text.
        return
    if outcome is None:
        return
    telemetry.emit(outcome)
    if outcome.handed_over:
        dispatch([message], outcome.wait_s)
    if outcome.abandoned:
        raise TurnGivenUp
