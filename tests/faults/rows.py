"""Lists the rows of the matrix."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.faults import (
    rows_council,
    rows_database,
    rows_kill,
    rows_live,
    rows_messages,
    rows_money,
    rows_pairs,
    rows_provider,
    rows_races,
    rows_stopped,
    rows_streams,
)
from tests.faults.matrix import FaultRow

ROWS: Mapping[str, FaultRow] = MappingProxyType(
    {
        "kill": FaultRow("SIGKILL at every point, and at random times", 1000, 24, rows_kill.kill),
        "kill-again": FaultRow("killed again during recovery", 200, 6, rows_kill.kill_again),
        "council": FaultRow("council killed at every point, and again in recovery", 300, 12, rows_council.kill_council),
        "council-outcomes": FaultRow("provider outcomes at random in a council", 500, 6, rows_council.fail_council),
        "live": FaultRow("SIGKILL at every point while a client watches", 500, 10, rows_live.killed_live),
        "asleep": FaultRow("a client that reads nothing of its turn", 50, 2, rows_live.asleep),
        "workers": FaultRow("one turn delivered to 8 workers at once", 500, 4, rows_races.deliver_to_eight),
        "session": FaultRow("16 keys on one session at once", 100, 2, rows_races.sixteen_keys),
        "key": FaultRow("one key from 8 processes", 100, 2, rows_races.one_key),
        "stopped": FaultRow("stopped worker that wakes after its lease", 100, 8, rows_stopped.stopped),
        "pairs": FaultRow("forced interleavings of two connections", len(rows_pairs.PAIRS), 12, rows_pairs.pairs),
        "server": FaultRow("Postgres killed -9 and restarted", 50, 1, rows_database.kill_server),
        "terminated": FaultRow("backend terminated", 500, 10, rows_database.terminate),
        "cut": FaultRow("connection cut at COMMIT", 200, 6, rows_database.cut),
        "outcomes": FaultRow(
            "every provider outcome at every step", len(rows_provider.CASES), 20, rows_provider.outcomes
        ),
        "streams": FaultRow(
            "faults in the middle of a provider's stream", rows_streams.CASES, 17, rows_streams.in_mid_stream
        ),
        "hold": FaultRow("killed before the first agent is asked, or cancelled there", 300, 8, rows_money.held),
        "suspense": FaultRow(
            "settlement killed, and by two at once", 100, len(rows_money.SETTLEMENTS), rows_money.suspense
        ),
        "messages": FaultRow("message redelivered, out of order, malformed", 300, 5, rows_messages.messages),
    }
)
