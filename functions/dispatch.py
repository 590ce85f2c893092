"""Telling the queue which turns wait. That it could not be told is nobody's error: the sweeper tells it again."""

from collections.abc import Sequence

from shared import telemetry
from shared.aws.queue import queue
from shared.domain.message import TurnMessage
from shared.names import Metric


def dispatch(messages: Sequence[TurnMessage], wait_s: float = 0.0) -> bool:
    """Send each message so that it arrives in `wait_s` seconds. Call this after the commit that queues its turn.
    Returns whether all were sent."""
    unsent = queue().send(messages, wait_s)
    if unsent:
        telemetry.count(Metric.UNSENT_TURNS, unsent)
    return not unsent
