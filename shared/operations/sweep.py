"""Send due turns to the queue, roll up the ledger, free leftover holds, and check the invariants.

Each part of a sweep has a time limit, whatever the amount of work. The next sweep goes on where this one stopped.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.db.api.budgets import free_leftovers
from shared.db.engine import Database
from shared.db.operations.dispatch import record_dispatch
from shared.db.operations.invariants import INVARIANTS, first_id, load_broken
from shared.db.usage.roll_up import roll_up
from shared.domain.message import TurnMessage
from shared.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

_BATCH = 100
# One invariant's query, and all of them together.
_INVARIANT_S = 2.0
_INVARIANTS_S = 10.0
# How long rolling up waits for a table that somebody else holds.
_PATIENCE_S = 5.0
# How far the invariants look back. All of it is for `pantheon doctor`, on a copy where there is much.
_DAY_S = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Check:
    """Names of invariants: those that do not hold, and those of which it is not known."""

    broken: Sequence[str]
    unchecked: Sequence[str]


def dispatch_due(db: Database, dispatch: Callable[[Sequence[TurnMessage]], bool], seconds: float) -> int:
    """Send what is due, batch by batch, each after the commit that moves it on. `dispatch` says whether all were sent.
    Returns how many turns there were."""
    until = time.monotonic() + seconds
    found = 0
    while time.monotonic() < until:
        due = record_dispatch(db, _BATCH)
        found += len(due)
        if not due or not dispatch(due):
            break
    return found


def roll_up_due(db: Database, hours: int, seconds: float) -> None:
    """Roll up the hours of the ledger that are due, so many at most and for so many seconds. What cannot be rolled up
    now, because somebody else holds a table, is left for the next sweep."""
    until = time.monotonic() + seconds
    try:
        for _ in range(hours):
            if time.monotonic() >= until or roll_up(db, 1, patience_s=_PATIENCE_S) is None:
                break
    except DatabaseUnavailable:
        logger.warning("not rolled up")


def free_leftover_holds(db: Database, seconds: float) -> None:
    """Free the holds that the release before leaves behind while both serve."""
    try:
        free_leftovers(db, seconds)
    except DatabaseUnavailable:
        logger.warning("leftover holds not freed")


def check_invariants(db: Database) -> Check:
    """Hold the turns of the last day against every invariant, within a few seconds."""
    since = first_id(time.time() - _DAY_S)
    until = time.monotonic() + _INVARIANTS_S
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
