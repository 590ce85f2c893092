"""Derive the periods and thresholds of alarms from a function's schedule.

An alarm never rings if its threshold exceeds the number of runs in its window. So all alarms on scheduled functions
take their numbers from here.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration

from infra_cdk.entries import Entry

# The client or AWS may cause one failed invocation. Three are a pattern.
_FAILURES: Final = 3
# Their window in seconds. A slower schedule lengthens it.
_SCHEDULED_S: Final = 15 * 60
_UNSCHEDULED_S: Final = 5 * 60
# A silence alarm waits for this many runs and for this many seconds, whichever is longer.
_SILENT_RUNS: Final = 3
_SILENT_S: Final = 5 * 60


@dataclass(frozen=True)
class Rhythm:
    """An alarm's `period`, the number of `periods` that must breach in a row, and the `threshold` of a period's sum."""

    period: Duration
    periods: int
    threshold: int


def failures(entry: Entry) -> Rhythm:
    """Return when a function's failures ring: three within some minutes, or all runs if fewer fit into the window."""
    if entry.every_s is None:
        return Rhythm(Duration.seconds(_UNSCHEDULED_S), 1, _FAILURES)
    window_s = max(_SCHEDULED_S, entry.every_s)
    return Rhythm(Duration.seconds(window_s), 1, min(_FAILURES, window_s // entry.every_s))


def silence(entry: Entry) -> Rhythm:
    """Return when a scheduled function's silence rings: after three missed runs, and at least five minutes."""
    assert entry.every_s is not None
    periods = max(_SILENT_RUNS, -(-_SILENT_S // entry.every_s))
    return Rhythm(Duration.seconds(entry.every_s), periods, 1)
