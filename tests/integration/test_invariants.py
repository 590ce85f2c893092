"""Each invariant finds what it is there to find: a database is broken by hand, once for each of them."""

from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from uuid6 import uuid7

from shared.db.operations.invariants import _FIRST_ROWS, INVARIANTS
from tests.broken import BREAKS, take_turns
from tests.council_room import CouncilRoom, broken_invariants


def is_broken(room: CouncilRoom, name: str, since: UUID) -> bool:
    """Whether it does not hold for the turns from `since` on, by what the sweeper asks. In the room's own transaction,
    since the break is never committed."""
    ((query, values),) = _FIRST_ROWS[name].sent({"b_since": since, "b_limit": 1})
    with psycopg.RawCursor(room.owner) as cursor:
        found = cursor.execute(query.encode(), values)
        return bool(found.fetchall())


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
        assert is_broken(room, name, first)
        # A month is looked at as a whole, and so is what is active now.
        whole = name.startswith(("held is", "spent is", "a turn that has not ended", "a session has", "an active turn"))
        whole = whole or name.startswith("a turn holds")
        # The session is deleted, and what is rolled up is changed, after all of these turns.
        whole = whole or name.startswith(("of a deleted session", "what is rolled up"))
        # These are not about turns.
        whole = whole or name.startswith(("a role has", "there is no large object"))
        assert is_broken(room, name, later) == whole


@pytest.mark.parametrize(
    "change",
    [
        # The chair's call is one of an agent, too.
        "UPDATE llm_calls SET step = 7 WHERE step = 4 AND purpose = 'review'",
        "UPDATE llm_calls SET verdict = 'failed' WHERE step = 1 AND agent_key = 'researcher'",
        "DELETE FROM usage_ledger WHERE step = 1; DELETE FROM llm_calls WHERE step = 1",
    ],
)
def test_a_review_of_an_agent_without_an_answer_is_found(room: CouncilRoom, change: LiteralString) -> None:
    take_turns(room)
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(change)
        assert "only members of a council that answered review, once each" in broken_invariants(room.owner)


@pytest.mark.parametrize("heard", ["false", "position < 2"])
def test_a_council_of_which_later_turns_see_none_or_several_replies_is_found(
    room: CouncilRoom, heard: LiteralString
) -> None:
    take_turns(room)
    with room.owner.transaction(force_rollback=True):
        room.owner.execute("UPDATE replies SET is_heard = " + heard)
        assert "later turns see the one reply that concludes" in broken_invariants(room.owner)
