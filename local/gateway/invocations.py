"""A function of the pool, and the result of one invocation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from local.gateway.streaming import Streaming

Status = Literal[
    "succeeded",  # the payload is what the handler returned
    "failed",  # the handler raised, or returned what Lambda does not pass on; the payload is its error
    "timed_out",  # killed at the function's timeout
    "died",  # the process ended in mid-invocation, broke the protocol, or could not be made
    "throttled",  # every process was busy for as long as a caller waits
    "too_large",  # the event is over Lambda's limit
]


@dataclass(frozen=True, slots=True)
class Function:
    """`handler` is "module:attribute". `timeout_s` is what one invocation may take, in seconds. `environ` is what this
    function alone is told. `python` is the interpreter with its libraries, if it is not the gateway's own."""

    name: str
    handler: str
    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    later: tuple[str, ...] = ()
    rare: bool = False
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """`stream` is a response that the process still writes."""

    status: Status
    payload: Any = None
    stream: Streaming | None = None
