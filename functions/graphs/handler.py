"""Lambda entry point of the graphs function: it runs the turn of a graph that each SQS message names.

It does not claim a turn of another mode and acknowledges its message, because the worker runs that turn. Messages fail
as in the worker.
"""

from functools import cache
from typing import Any

from functions.start import importing

with importing():
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from functions.graphs.checkpoints import Checkpoints
    from functions.graphs.loading import load_graphs
    from functions.resuming import resume
    from shared import telemetry
    from shared.db.engine import database
    from shared.llm.providers import provider
    from shared.orchestration.attempts import LEASED_PAUSE_S
    from shared.turns.run import Runner

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@cache
def checkpoints() -> Checkpoints:
    """Return the states of graphs that this process uses."""
    return Checkpoints(database())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    graphs = load_graphs(checkpoints())
    left = context.get_remaining_time_in_millis
    runner = Runner(database(), provider(), lambda: left() / 1000, LEASED_PAUSE_S, graphs)

    def run(record: SQSRecord) -> None:
        resume(runner, record)

    return process_partial_response(event, run, _processor, context)  # type: ignore[return-value]
