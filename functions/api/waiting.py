"""Hold a request until what it reads has news."""

import time
from collections.abc import Callable
from typing import TypeVar

from shared.db.api.wait_slots import wait_slot
from shared.db.engine import database

Found = TypeVar("Found")

# A waiting request reads again after a tenth of the time that it has waited, between these bounds in seconds. So it
# reads 40 times at most in 20 s.
_POLL_S, _POLL_AT_MOST_S = 0.2, 1.0


def read_news(
    tenant_id: str, read: Callable[[], Found], has_news: Callable[[Found], bool], seconds: float
) -> tuple[Found, bool]:
    """Read until there is news, or for so many seconds. Returns the last read. False means that it has no news and the
    tenant has no slot to wait in."""
    found = read()
    if not seconds or has_news(found):
        return found, True
    with wait_slot(database(), tenant_id) as waits:
        if waits:
            found = _poll(found, read, has_news, seconds)
    return found, waits


def _poll(found: Found, read: Callable[[], Found], has_news: Callable[[Found], bool], seconds: float) -> Found:
    """Read again and again. No transaction is open while this sleeps."""
    began = time.monotonic()
    while not has_news(found) and (waited := time.monotonic() - began) < seconds:
        # One process serves one request: nobody else waits while this one sleeps.
        time.sleep(min(max(_POLL_S, waited / 10), _POLL_AT_MOST_S, seconds - waited))
        found = read()
    return found
