"""Hold a request until the object that it reads has changed."""

import time
from collections.abc import Callable
from typing import TypeVar

from shared.db.api.wait_slots import wait_slot
from shared.db.engine import database

Found = TypeVar("Found")

# A waiting request reads again after a tenth of its waiting time, between these bounds in seconds. So it reads at most
# 40 times in 20 s.
_POLL_S, _POLL_AT_MOST_S = 0.2, 1.0


def read_news(
    tenant_id: str, read: Callable[[], Found], has_news: Callable[[Found], bool], seconds: float
) -> tuple[Found, bool]:
    """Read until there is news, at most for these seconds.

    Returns: The object, and whether the request could wait. It cannot if the tenant has no free slot.
    """
    found = read()
    if not seconds or has_news(found):
        return found, True
    with wait_slot(database(), tenant_id) as waits:
        if waits:
            found = _poll(found, read, has_news, seconds)
    return found, waits


def _poll(found: Found, read: Callable[[], Found], has_news: Callable[[Found], bool], seconds: float) -> Found:
    """Read until there is news. No transaction is open while this sleeps."""
    began = time.monotonic()
    while not has_news(found) and (waited := time.monotonic() - began) < seconds:
        # A process serves one request at a time, so sleeping delays no other.
        time.sleep(min(max(_POLL_S, waited / 10), _POLL_AT_MOST_S, seconds - waited))
        found = read()
    return found
