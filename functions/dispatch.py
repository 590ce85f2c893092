"""Telling the queue which turns wait. That it could not be told is nobody's error: the sweeper tells it again."""

from collections.abc import Sequence

from shared import telemetry
from shared.aws.queue import queue
from shared.domain.message import TurnMessage
from shared.names import Metric


def dispatch(messages: Sequence[TurnMessage], wait_s: float = 0.0) -> bool:
    """Send each, after the commit by which its turn waits, to arrive in `wait_s` seconds. Returns whether all were
    sent."""
    unsent = queue().send(messages, wait_s)
    if unsent:
        telemetry.count(Metric.UNSENT_TURNS, unsent)
    return not unsent
