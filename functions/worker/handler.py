"""Lambda entry point of the worker: each SQS message names a turn, which is claimed and run on from its journal.

A message for a turn that somebody runs, or that has ended, is done with. One that cannot be read, or whose turn could
not be run, is reported as failed: the queue delivers it again, and in the end to its dead-letter queue. There every
message goes whose turn had to be given up, so that somebody looks.
"""

from typing import Any

from functions.start import importing

with importing():
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from functions.dispatch import dispatch
    from shared import telemetry
    from shared.db.engine import database
    from shared.domain.message import TurnMessage
    from shared.errors import SessionDeleted
    from shared.llm.providers import provider
    from shared.orchestration.attempts import LEASED_PAUSE_S
    from shared.turns.run import Runner, resume_turn

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


class TurnGivenUp(Exception):
    """Nobody could finish the turn, and it has ended."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    # No client waits here. The queue does longer waits, because a claim's lease would end meanwhile.
    runner = Runner(database(), provider(), lambda: context.get_remaining_time_in_millis() / 1000, LEASED_PAUSE_S)

    def run(record: SQSRecord) -> None:
        try:
            _run(runner, TurnMessage.from_json(record.body))
        except Exception as error:
            telemetry.report("turn not resumed", error, message_id=record.message_id)
            # Lambda counts no error, because the answer names the failed messages.
            telemetry.count_failure()
            raise

    return process_partial_response(event, run, _processor, context)  # type: ignore[return-value]


def _run(runner: Runner, message: TurnMessage) -> None:
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
