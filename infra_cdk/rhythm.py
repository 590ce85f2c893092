"""Derive the periods and thresholds of alarms from how often a function runs.

An alarm whose threshold is higher than the number of runs in its window can never ring. So no alarm on a scheduled
function has a number of its own.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration

from infra_cdk.entries import Entry

# One failed invocation may be the client's doing or AWS's. Three are a pattern.
_FAILURES: Final = 3
# The window for them, in seconds, if as many runs fit into it.
_SCHEDULED_S: Final = 15 * 60
_UNSCHEDULED_S: Final = 5 * 60
# An alarm of silence waits for so many runs and so many seconds, whichever is longer.
_SILENT_RUNS: Final = 3
_SILENT_S: Final = 5 * 60


@dataclass(frozen=True)
class Rhythm:
    """An alarm's `period`, how many `periods` in a row breach, and the `threshold` of the sum of a period."""

    period: Duration
    periods: int
    threshold: int


def failures(entry: Entry) -> Rhythm:
    """Return when failures of a function ring: three within a few minutes. If fewer runs fit into the window, each of
    them must fail."""
    if entry.every_s is None:
        return Rhythm(Duration.seconds(_UNSCHEDULED_S), 1, _FAILURES)
    window_s = max(_SCHEDULED_S, entry.every_s)
    return Rhythm(Duration.seconds(window_s), 1, min(_FAILURES, window_s // entry.every_s))


def silence(entry: Entry) -> Rhythm:
    """Return when the silence of a scheduled function rings: after three missed runs, and not within five minutes."""
    assert entry.every_s is not None
    periods = max(_SILENT_RUNS, -(-_SILENT_S // entry.every_s))
    return Rhythm(Duration.seconds(entry.every_s), periods, 1)
