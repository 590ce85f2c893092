"""The time limit of a posted turn, and the metrics and the message after its outcome."""

import time
from collections.abc import Callable
from typing import Final

from fastapi import Request

from functions.dispatch import dispatch
from shared import telemetry
from shared.domain.message import TurnMessage
from shared.domain.outcome import TurnOutcome
from shared.settings import settings

# In seconds: after the turn, the invocation sends the last bytes to the client.
_AFTER_S: Final = 2.0


def seconds_left(request: Request) -> Callable[[], float]:
    """Return a clock of the seconds left for a posted turn, by the setting and by this invocation."""
    started, context = time.monotonic(), request.scope["aws.context"]
    limit = settings().turn_seconds

    def left() -> float:
        invocation_s = float(context.get_remaining_time_in_millis()) / 1000 - _AFTER_S
        return min(limit - (time.monotonic() - started), invocation_s)

    return left


def conclude(tenant_id: str, outcome: TurnOutcome) -> None:
    """Emit the turn's metrics, and send a handed-over turn to the queue."""
    telemetry.emit(outcome)
    if outcome.handed_over:
        dispatch([TurnMessage(outcome.turn_id, tenant_id, outcome.is_graph)], outcome.wait_s)
