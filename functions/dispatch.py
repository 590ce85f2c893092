"""Telling the queues which turns wait. That one could not be told is nobody's error: the sweeper tells it again."""

from collections.abc import Sequence

from shared import telemetry
from shared.aws.queue import graphs_queue, queue
from shared.domain.message import TurnMessage
from shared.names import Metric


def dispatch(messages: Sequence[TurnMessage], wait_s: float = 0.0) -> bool:
    """Send each message to the queue of its kind so that it arrives in `wait_s` seconds. Call this after the commit
    that queues its turn. Returns whether all were sent."""
    of_graphs = [message for message in messages if message.is_graph]
    unsent = queue().send([message for message in messages if not message.is_graph], wait_s)
    unsent += graphs_queue().send(of_graphs, wait_s)
    if unsent:
        telemetry.count(Metric.UNSENT_TURNS, unsent)
    return not unsent
