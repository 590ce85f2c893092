"""Each invariant finds what it is there to find: a database is broken by hand, once for each of them."""

from uuid import UUID

import psycopg
import pytest
from uuid6 import uuid7

from shared.db.engine import Row
from shared.db.invariants import INVARIANTS, invariants
from tests.broken import BREAKS, take_turns
from tests.council_room import CouncilRoom, broken_invariants


def broken_since(connection: psycopg.Connection[Row], since: UUID) -> set[str]:
    found = {name: connection.execute(query.encode()).fetchall() for name, query in invariants(since).items()}
    return {name for name, rows in found.items() if rows}


@pytest.mark.parametrize("name", INVARIANTS)
def test_a_broken_invariant_is_found(room: CouncilRoom, name: str) -> None:
    take_turns(room)
    assert broken_invariants(room.owner) == {}
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(BREAKS[name])
        assert name in broken_invariants(room.owner)


@pytest.mark.parametrize("name", INVARIANTS)
def test_where_only_the_newest_turns_are_looked_at_a_break_is_found_in_those_and_in_no_others(
    room: CouncilRoom, name: str
) -> None:
    room.take("@writer before")
    first = uuid7()
    take_turns(room)
    later = uuid7()
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(BREAKS[name].replace("turn_index = 2", "turn_index = 3"))
        assert name in broken_since(room.owner, first)
        # A month is looked at as a whole, and so is what is active now.
        whole = name.startswith(("held is", "spent is", "a turn that has not ended", "a session has", "an active turn"))
        assert (name in broken_since(room.owner, later)) == whole
