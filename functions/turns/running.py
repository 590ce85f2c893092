"""What every route of the turns function does around a turn: its time, and what follows its outcome."""

import time
from collections.abc import Callable
from typing import Final

from fastapi import Request

from functions.dispatch import dispatch
from shared import telemetry
from shared.domain.message import TurnMessage
from shared.domain.outcome import TurnOutcome
from shared.settings import settings

# The end of an invocation, in seconds: after the turn, its last bytes go to the client.
_AFTER_S: Final = 2.0


def seconds_left(request: Request) -> Callable[[], float]:
    """What a posted turn may still take here: the setting, and never more than this invocation has for it."""
    started, context = time.monotonic(), request.scope["aws.context"]
    limit = settings().turn_seconds

    def left() -> float:
        invocation_s = float(context.get_remaining_time_in_millis()) / 1000 - _AFTER_S
        return min(limit - (time.monotonic() - started), invocation_s)

    return left


def conclude(tenant_id: str, outcome: TurnOutcome) -> None:
    """Tell metrics and queue of the turn's outcome."""
    telemetry.emit(outcome)
    if outcome.handed_over:
        dispatch([TurnMessage(outcome.turn_id, tenant_id, outcome.is_graph)], outcome.wait_s)
