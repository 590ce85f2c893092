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

    from functions.resuming import resume
    from shared import telemetry
    from shared.db.engine import database
    from shared.llm.providers import provider
    from shared.orchestration.attempts import LEASED_PAUSE_S
    from shared.turns.run import Runner

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    # No client waits here. The queue does longer waits, because a claim's lease would end meanwhile.
    runner = Runner(database(), provider(), lambda: context.get_remaining_time_in_millis() / 1000, LEASED_PAUSE_S)

    def run(record: SQSRecord) -> None:
        resume(runner, record)

    return process_partial_response(event, run, _processor, context)  # type: ignore[return-value]
