"""Tests that the sweeper's queries of every minute use indexes, whatever the planner's statistics say."""

import re
import time
from collections.abc import Iterator, Mapping

import psycopg
import pytest
from sqlalchemy import text

from shared.db.api.budgets import _RELEASE_LEFTOVER_HOLDS
from shared.db.compiler import compiled
from shared.db.engine import Database, Params
from shared.db.operations import hour_costs
from shared.db.operations import month_costs as costs
from shared.db.operations.invariants import LATELY, first_id, first_rows
from shared.db.operations.time_limit import read_within
from shared.db.statement import Row
from shared.db.usage import roll_up
from shared.names import Role
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.ledger_rows import entry, hours_ago, insert

# Tables that grow with all past turns.
_GROWING = (
    "audit_events|budget_holds|llm_calls|replies|summaries|turns|usage_daily|usage_days|usage_hourly|usage_hours"
    "|usage_ledger"
)
_SCAN = re.compile(rf"Seq Scan on ({_GROWING})\b")
# The query checks each lately deleted session. The best plan depends on their number.
_OF_DELETED = "of a deleted session no text is left once its turns have ended"
QUERIES: Mapping[str, str] = {
    **{name: first_rows(query, ":b_limit") for name, query in LATELY.items() if name != _OF_DELETED},
    "which holds were left behind": _RELEASE_LEFTOVER_HOLDS.parts[0].text,
    "what is freed of them": _RELEASE_LEFTOVER_HOLDS.parts[1].text,
    "what the month has cost": costs._ENTRIES.parts[0].text,
    "what the hour has cost": hour_costs._LOAD.parts[0].text,
}


@pytest.fixture
def operations(database_urls: DatabaseUrls) -> Iterator[Database]:
    db = Database(database_urls.of(Role.OPS))
    yield db
    db.close()


@pytest.mark.parametrize("name", QUERIES)
def test_sweep_scans_no_growing_table(room: CouncilRoom, operations: Database, name: str) -> None:
    room.take("@writer hello")
    for table in _GROWING.split("|"):
        room.owner.execute(f"ANALYZE {table}".encode())
    params: Params = {"b_since": first_id(time.time()), "b_limit": 1}
    plan = read_within(operations, 10, (compiled(text(f"EXPLAIN {QUERIES[name]}")), params))[0]
    assert _SCAN.findall("\n".join(row["QUERY PLAN"] for row in plan)) == []


def test_rolling_up_an_hour_reads_the_ledger_by_its_time(owner: psycopg.Connection[Row], operations: Database) -> None:
    """The planner chooses freely, right after an upgrade, when the new tables have no statistics.

    The bounds are known before the scan. If a join supplied them, Postgres would read a long ledger completely for each
    hour.
    """
    insert(owner, [entry(hours_ago(100 - number / 60)) for number in range(5000)])
    roll_up.roll_up(operations, 1)
    owner.execute("ANALYZE usage_ledger")
    ((query, _),) = roll_up._hour().sent({})
    plan = [row["QUERY PLAN"] for row in operations.run(None, compiled(text(f"EXPLAIN {query}")), {})]
    assert [line for line in plan if "Seq Scan on usage_ledger" in line] == []
    bounds = r"Index Cond: \(\(created_at >= \(InitPlan \d+\)\.col1\) AND \(created_at < \(InitPlan \d+\)\.col1\)\)"
    assert [line for line in plan if re.search(bounds, line)] != []
