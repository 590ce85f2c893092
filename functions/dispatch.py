"""Send turns to the queues. A failed send is only counted, because the sweeper sends the turn again."""

from collections.abc import Sequence

from shared import telemetry
from shared.aws.queue import graphs_queue, queue
from shared.domain.message import TurnMessage
from shared.names import Metric


def dispatch(messages: Sequence[TurnMessage], wait_s: float = 0.0) -> bool:
    """Send each message to the queue of its kind, to arrive in `wait_s` seconds. Return whether all were sent.

    Call this after the commit that queues the turns."""
    of_graphs = [message for message in messages if message.is_graph]
    unsent = queue().send([message for message in messages if not message.is_graph], wait_s)
    unsent += graphs_queue().send(of_graphs, wait_s)
    if unsent:
        telemetry.count(Metric.UNSENT_TURNS, unsent)
    return not unsent
