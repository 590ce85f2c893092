"""By what the sweeper finds what it reads every minute: by indexes, whatever the planner thinks of the tables."""

import re
import time
from collections.abc import Iterator, Mapping

import pytest
from sqlalchemy import text

from shared.db.compiler import compiled
from shared.db.engine import Database, Params
from shared.db.operations import month as costs
from shared.db.operations.invariants import LATELY, first_id, first_rows
from shared.db.operations.time_limit import read_within
from shared.names import Role
from tests.council_room import CouncilRoom, DatabaseUrls

# What grows with what was ever done.
_GROWING = "audit_events|llm_calls|replies|summaries|turns|usage_days|usage_hours|usage_ledger"
_SCAN = re.compile(rf"Seq Scan on ({_GROWING})\b")
# It asks of each session that was deleted lately, and how is a matter of how many there are.
_OF_DELETED = "of a deleted session no text is left once its turns have ended"
QUERIES: Mapping[str, str] = {
    **{name: first_rows(query, ":b_limit") for name, query in LATELY.items() if name != _OF_DELETED},
    "what the month has cost": costs._ENTRIES.parts[0].text,
}


@pytest.fixture
def operations(database_urls: DatabaseUrls) -> Iterator[Database]:
    db = Database(database_urls.of(Role.OPS))
    yield db
    db.close()


@pytest.mark.parametrize("name", QUERIES)
def test_nothing_that_grows_is_read_from_its_beginning(room: CouncilRoom, operations: Database, name: str) -> None:
    room.take("@writer hello")
    for table in _GROWING.split("|"):
        room.owner.execute(f"ANALYZE {table}".encode())
    params: Params = {"b_since": first_id(time.time()), "b_limit": 1}
    plan = read_within(operations, 10, (compiled(text(f"EXPLAIN {QUERIES[name]}")), params))[0]
    assert _SCAN.findall("\n".join(row["QUERY PLAN"] for row in plan)) == []
