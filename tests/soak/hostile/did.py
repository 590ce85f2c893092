"""The result of one process: latencies of honest turns, and how often each thing was answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.errors import PantheonError
from tests.faults.checks import Finding


@dataclass(frozen=True)
class Latency:
    """Of an honest turn, in seconds: when it was posted after the beginning, and how long its client waited."""

    at: float
    seconds: float


@dataclass
class Did:
    """`answers` counts statuses of turns, codes of refusals, and `killed`. Each thread has a Did of its own, because
    counting is not safe for several threads."""

    latencies: list[Latency] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    found: list[Finding] = field(default_factory=list)

    def refused(self, error: PantheonError) -> None:
        self.answers[error.code] += 1

    def crashed(self, what: str, error: Exception) -> None:
        self.found.append(("crashed", f"{what}: {type(error).__name__}: {error}"))


def together(parts: Sequence[Did]) -> Did:
    whole = Did()
    for part in parts:
        whole.latencies += part.latencies
        whole.answers.update(part.answers)
        whole.found += part.found
    return whole
