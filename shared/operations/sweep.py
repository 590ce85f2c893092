"""Send due turns to the queue, roll up the ledger, and check the invariants.

Each part of a sweep has a time limit. The next sweep continues where this one stopped.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.db.engine import Database
from shared.db.operations.dispatch import record_dispatch
from shared.db.operations.invariants import INVARIANTS, first_id, load_broken
from shared.db.usage.roll_up import roll_up
from shared.domain.message import TurnMessage
from shared.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

_BATCH = 100
# The messages of one request to the queue, and its longest time in seconds.
_REQUEST = 10
REQUEST_S = 3.0
# The longest time of one invariant's query, in seconds.
_INVARIANT_S = 2.0
# How long rolling up waits for a locked table, in seconds.
_PATIENCE_S = 5.0
# How far the invariants look back, in seconds. `pantheon doctor` checks all data, on a copy if there is much.
_DAY_S = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Check:
    """Names of invariants: the broken ones, and those that could not be checked."""

    broken: Sequence[str]
    unchecked: Sequence[str]


def dispatch_due(db: Database, dispatch: Callable[[Sequence[TurnMessage]], bool], seconds: float) -> int:
    """Send due turns, batch by batch, each after the commit that postpones it. `dispatch` returns whether all were
    sent. Returns how many turns were due. Raises DatabaseUnavailable if a batch cannot be postponed in time."""
    # The last request to the queue begins before `until`.
    until = time.monotonic() + seconds - REQUEST_S
    found = 0
    while (left := until - time.monotonic()) > 0:
        due = record_dispatch(db, _BATCH, left)
        found += len(due)
        if not due or not _send(due, dispatch, until):
            break
    return found


def _send(due: Sequence[TurnMessage], dispatch: Callable[[Sequence[TurnMessage]], bool], until: float) -> bool:
    """Send the messages. Returns False if the queue refused some or the time was over. Those are due again in a
    minute."""
    for start in range(0, len(due), _REQUEST):
        if time.monotonic() >= until:
            logger.warning("turns not sent in time", extra={"turns": len(due) - start})
            return False
        if not dispatch(due[start : start + _REQUEST]):
            return False
    return True


def roll_up_due(db: Database, hours: int, seconds: float) -> None:
    """Roll up at most `hours` due hours of the ledger, within `seconds`. Raises DatabaseUnavailable if an hour takes
    longer, or a table is locked for 5 seconds. The next sweep tries again."""
    until = time.monotonic() + seconds
    for _ in range(hours):
        left = until - time.monotonic()
        if left <= 0 or roll_up(db, 1, patience_s=min(_PATIENCE_S, left), seconds=left) is None:
            break


def check_invariants(db: Database, seconds: float) -> Check:
    """Check the turns of the last day against every invariant, within `seconds`."""
    since = first_id(time.time() - _DAY_S)
    until = time.monotonic() + seconds
    broken, unchecked = [], []
    for name in INVARIANTS:
        left = until - time.monotonic()
        try:
            if left <= 0:
                unchecked.append(name)
            elif load_broken(db, name, 1, since=since, seconds=min(left, _INVARIANT_S)):
                logger.error("invariant broken", extra={"invariant": name})
                broken.append(name)
        except DatabaseUnavailable:
            unchecked.append(name)
    if unchecked:
        logger.warning("invariants not checked", extra={"invariants": unchecked})
    return Check(broken, unchecked)
