"""The outcome of a posted or resumed turn: the answer for the client, and figures for telemetry."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.domain.money import Usage
from shared.domain.turn import CallStatus, Fallback, Purpose, Turn, TurnStatus


@dataclass(frozen=True, slots=True)
class CallFigures:
    """A provider call that this process made. `seconds` is its duration, `started` its beginning on the monotonic
    clock."""

    purpose: Purpose
    model_alias: str
    status: CallStatus
    usage: Usage
    seconds: float
    started: float
    call_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """The tenant and session of a turn, the USD of all its calls, and the tenant's part."""

    tenant_id: str
    session_id: UUID
    total_usd: Decimal
    tenant_usd: Decimal


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """The outcome of running a turn. `body` is the turn as JSON, `seconds` this process's share of its time.

    - `replayed`: the answer was stored before.
    - `handed_over`: the caller must send the turn to the queue, to continue in `wait_s` seconds; `is_graph`: to the
      queue of graphs.
    - `published`: this process ended the turn; `bill` and `turn` are set.
    - `abandoned`: the turn was given up.
    - `faults`: exceptions of our own code that the turn survived, each with the failed part."""

    turn_id: UUID
    status: TurnStatus
    body: str
    calls: Sequence[CallFigures] = ()
    fallbacks: Sequence[Fallback] = ()
    seconds: float = 0.0
    replayed: bool = False
    handed_over: bool = False
    wait_s: float = 0.0
    published: bool = False
    abandoned: bool = False
    bill: Bill | None = None
    faults: Sequence[tuple[str, Exception]] = ()
    turn: Turn | None = None
    is_graph: bool = False

    @property
    def ended(self) -> bool:
        return self.status not in ("accepted", "running")

    @property
    def lasted_s(self) -> float:
        """The seconds from the turn's acceptance to its end by the database's clock, over all runners."""
        if self.turn is None or self.turn.completed_at is None:
            return self.seconds
        return (self.turn.completed_at - self.turn.created_at).total_seconds()

    @property
    def overhead_s(self) -> float:
        """The seconds here in which no call ran. Concurrent calls count once."""
        waited, until = 0.0, 0.0
        for call in sorted(self.calls, key=lambda call: call.started):
            end = call.started + call.seconds
            waited += max(0.0, end - max(call.started, until))
            until = max(until, end)
        return self.seconds - waited
