"""Tests that a search for the turn of a repeated request reads one turn, however many requests there were."""

import re
from pathlib import Path

from tests.integration.test_growth import long_session
from tests.support.council_room import CouncilRoom

_FIND = (Path(__file__).parents[2] / "shared/db/sql/find_chat.sql").read_text()
_AGED = b"""UPDATE turns SET request_hash = '\\x01',
    created_at = clock_timestamp() - (5000 - turn_index) * interval '1 minute'
    WHERE session_id = %s"""


def test_request_that_came_every_minute_is_looked_up_by_its_newest_turn(room: CouncilRoom) -> None:
    room.owner.execute(_AGED, [long_session(room, 5000, summarised=False)])
    room.owner.execute(b"ANALYZE turns")
    (statement,) = re.findall(r"-- part retried\n(.*?);", _FIND, re.DOTALL)
    values = {":b_request_hash": "'\\x01'::bytea", ":b_user_id": "'user-1'", ":b_name": "'A name'"}
    asked = re.sub("|".join(values), lambda found: values[found[0]], statement)
    with room.owner.transaction():
        # Every turn here belongs to one session, unlike in production. So the planner would read all of them for the
        # next one.
        room.owner.execute(b"SET LOCAL enable_seqscan = off")
        plan = "\n".join(str(row) for row in room.owner.execute(f"EXPLAIN (ANALYZE, BUFFERS) {asked}".encode()))
    assert "turns_request_hash_idx" in plan, plan
    assert "Rows Removed" not in plan, plan
    assert "Sort" not in plan, plan
