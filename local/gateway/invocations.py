"""Define a function of the pool, and the result of one invocation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from local.gateway.streaming import Streaming

Status = Literal[
    "succeeded",  # the payload is the handler's result
    "failed",  # the handler raised, or returned a value that Lambda refuses; the payload is its error
    "timed_out",  # killed at the function's timeout
    "died",  # the process ended during the invocation, broke the protocol, or did not start
    "throttled",  # every process was busy for the longest time that a caller waits
    "too_large",  # the event exceeds Lambda's limit
]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the pool.

    Attributes:
        handler: "module:attribute".
        timeout_s: The most seconds of one invocation.
        environ: Variables of this function alone.
        later: Modules that the handler imports while it works.
        rare: Whether the function starts only with its first invocation.
        python: The interpreter with its libraries, if it is not the gateway's own.
    """

    name: str
    handler: str
    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    later: tuple[str, ...] = ()
    rare: bool = False
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """The result of an invocation. `stream` is a response that the process still writes."""

    status: Status
    payload: Any = None
    stream: Streaming | None = None
