"""Limit how often, and how soon, a part of the local stack that died is restarted."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

MOST: Final = 5
WITHIN_S: Final = 600.0
_FIRST_PAUSE_S: Final = 1.0


class Restarts:
    """The restarts of one part: at most `MOST` in `WITHIN_S` seconds. The first one needs no pause."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: deque[float] = deque()

    def begin(self) -> float | None:
        """Count a restart, and return the seconds to wait before it, or None after too many restarts."""
        now = self._clock()
        while self._begun and now - self._begun[0] > WITHIN_S:
            self._begun.popleft()
        if len(self._begun) >= MOST:
            return None
        pause = _FIRST_PAUSE_S * 2 ** (len(self._begun) - 1) if self._begun else 0.0
        self._begun.append(now)
        return pause
