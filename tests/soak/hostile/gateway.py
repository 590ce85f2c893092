"""The rate at which API Gateway lets hostile clients post turns, for all of them together."""

import time
from multiprocessing.context import ForkContext
from multiprocessing.sharedctypes import Synchronized

# Production's `turn_rate` and `turn_burst`, per second. Honest posts are let in beside them.
RATE, BURST = 100.0, 200.0


class Gateway:
    """Shared by the processes that are forked after it was made. A client that is throttled tries until it is let in,
    so it waits for its turn here."""

    def __init__(self, context: ForkContext) -> None:
        # When the bucket would be full again, by the monotonic clock.
        self._full_at: Synchronized[float] = context.Value("d", 0.0)

    def enter(self) -> None:
        with self._full_at.get_lock():
            now = time.monotonic()
            self._full_at.value = max(self._full_at.value, now) + 1 / RATE
            wait_s = self._full_at.value - now - BURST / RATE
        time.sleep(max(0.0, wait_s))
