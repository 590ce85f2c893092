"""Lambda entry point of the worker: it claims the turn that each SQS message names, and resumes it from its journal.

A message is acknowledged if its turn has ended or another process runs it. It is reported as failed if it cannot be
read, or its turn could not be run or was given up. The queue delivers a failed message again, and moves it to the
dead-letter queue after five deliveries.
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
    # No client waits here. A longer pause is left to the queue, because the claim's lease would end during it.
    runner = Runner(database(), provider(), lambda: context.get_remaining_time_in_millis() / 1000, LEASED_PAUSE_S)

    def run(record: SQSRecord) -> None:
        resume(runner, record)

    return process_partial_response(event, run, _processor, context)  # type: ignore[return-value]
