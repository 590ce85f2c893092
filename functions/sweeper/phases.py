"""The phases of a sweep, in their order, each with its own time limit.

A test checks that all limits and overruns together are shorter than the function's timeout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from functions.dispatch import dispatch
from shared import telemetry
from shared.db.api.budgets import record_platform_month, release_leftover_holds
from shared.db.engine import Database
from shared.db.operations.dispatch import load_activity
from shared.names import Metric
from shared.operations import costs
from shared.operations.retention import delete_untouched, remove_keys
from shared.operations.sweep import dispatch_due, roll_up_due
from shared.settings import operations_settings

# The limit of each phase in seconds. `invariants` run last and have their own limit.
SECONDS: Final = {
    "activity": 2.0,
    "platform": 2.0,
    "month": 4.0,
    "hour": 2.0,
    "allowances": 2.0,
    "dispatch": 6.0,
    "sessions": 8.0,
    "keys": 1.0,
    "roll_up": 10.0,
    "leftovers": 2.0,
    "invariants": 7.0,
}
# The most hours of the ledger that one sweep rolls up. One is due each hour. After an outage, several are due.
_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a sweep. `run` gets its limit in seconds and returns a count or None. `failure` is the log line for an
    exception of `run`."""

    name: str
    failure: str
    run: Callable[[Database, float], int | None]


def _count_turns(db: Database, seconds: float) -> None:
    activity = load_activity(db, seconds)
    telemetry.measure(
        {
            Metric.ACTIVE_TURNS: activity.active,
            Metric.DUE_TURNS: activity.due,
            Metric.OLDEST_ACTIVE_TURN: activity.oldest_s,
        }
    )


def _add_up_month(db: Database, seconds: float) -> None:
    for values, dimensions in costs.load_month_gauges(db, seconds):
        telemetry.measure(values, dimensions)


def _add_up_hour(db: Database, seconds: float) -> None:
    for values, dimensions in costs.load_hour_gauges(db, seconds):
        telemetry.measure(values, dimensions)


def _dispatch(db: Database, seconds: float) -> int:
    return dispatch_due(db, dispatch, seconds)


def _delete_sessions(db: Database, seconds: float) -> int:
    """Delete old sessions of people, then old implicit ones. Each kind gets half of the seconds."""
    kept = operations_settings()
    deleted = delete_untouched(db, kept.retention_days, seconds / 2)
    return deleted + delete_untouched(db, kept.implicit_session_days, seconds / 2, implicit=True)


def _roll_up(db: Database, seconds: float) -> None:
    roll_up_due(db, _HOURS, seconds)


# The gauges come first, so that due turns are counted before they are sent.
PHASES: Final = (
    Phase("activity", "turns not counted", _count_turns),
    Phase("platform", "platform not measured", record_platform_month),
    Phase("month", "money not added up", _add_up_month),
    Phase("hour", "money not added up", _add_up_hour),
    Phase("allowances", "allowances not read", costs.log_allowances),
    Phase("dispatch", "due turns not sent", _dispatch),
    Phase("sessions", "sessions not deleted", _delete_sessions),
    Phase("keys", "API keys not removed", remove_keys),
    Phase("roll_up", "not rolled up", _roll_up),
    Phase("leftovers", "leftover holds not freed", release_leftover_holds),
)
