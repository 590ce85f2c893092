"""The start of each round: a quiet part without hostile tenants and a part with them.

All processes follow the same monotonic clock, so they need no message.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["quiet", "settling", "hostile"]

# A round is a third quiet. Rounds alternate, so that a disturbance of this machine reaches both parts.
_ROUND_S = 60.0
QUIET_SHARE = 1 / 3
# Hostile turns that are under way still end in the next quiet part, so its first seconds are not measured.
_SETTLING_S = 5.0


@dataclass(frozen=True)
class Schedule:
    """`began` is of the monotonic clock, the others are in seconds after it."""

    began: float
    seconds: float
    quiet_share: float = QUIET_SHARE

    @property
    def _round_s(self) -> float:
        return min(_ROUND_S, self.seconds)

    def part(self, at: float) -> Part:
        rounds, within = divmod(at, self._round_s)
        if within >= self._round_s * self.quiet_share:
            return "hostile"
        return "settling" if rounds and within < _SETTLING_S else "quiet"

    def pause_s(self, at: float) -> float:
        """How long hostile clients and their workers wait before they go on; 0 in a hostile part and after the end."""
        if at < 0:
            return -at
        return 0.0 if at >= self.seconds else max(0.0, self._round_s * self.quiet_share - at % self._round_s)

    def now(self) -> float:
        return time.monotonic() - self.began


def arrivals(seed: int, per_second: float, seconds: float) -> Sequence[float]:
    """When honest turns are posted, whether earlier ones have ended or not."""
    rng, at, times = random.Random(f"{seed}:arrivals"), 0.0, []
    while (at := at + rng.expovariate(per_second)) < seconds:
        times.append(at)
    return times
