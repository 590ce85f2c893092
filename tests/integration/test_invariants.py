"""Tests that each invariant finds its error: the test breaks the database once for each."""

from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from uuid6 import uuid7

from shared.db.operations.invariants import _FIRST_ROWS, INVARIANTS
from tests.support.broken import BREAKS, take_turns
from tests.support.council_room import CouncilRoom, broken_invariants


def is_broken(room: CouncilRoom, name: str, since: UUID) -> bool:
    """Return whether the invariant fails for the turns from `since` on, by the sweeper's query.

    The query runs in the room's own transaction, because the break is never committed.
    """
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
def test_invariant_of_new_turns_finds_breaks_in_those_turns_only(room: CouncilRoom, name: str) -> None:
    room.take("@writer before")
    first = uuid7()
    take_turns(room)
    later = uuid7()
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(BREAKS[name].replace("turn_index = 2", "turn_index = 3"))
        assert is_broken(room, name, first)
        # Months and active turns are always checked completely.
        whole = name.startswith(("held is", "spent is", "a turn that has not ended", "a session has", "an active turn"))
        whole = whole or name.startswith("a turn holds")
        # The deletion of the session and the change of rolled-up rows come after all of these turns.
        whole = whole or name.startswith(("of a deleted session", "what is rolled up"))
        # These are not about turns.
        whole = whole or name.startswith(("a role has", "there is no large object"))
        assert is_broken(room, name, later) == whole


@pytest.mark.parametrize(
    "change",
    [
        # The chair's call is also a call of an agent.
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
def test_council_without_exactly_one_reply_for_later_turns_is_found(room: CouncilRoom, heard: LiteralString) -> None:
    take_turns(room)
    with room.owner.transaction(force_rollback=True):
        room.owner.execute("UPDATE replies SET is_heard = " + heard)
        assert "later turns see the one reply that concludes" in broken_invariants(room.owner)


_POSTS = "a post's account and reason follow from its call"
# 0.1.0 stores no reason. The payer of a call is the one that held its reserve, and the platform pays for a call without
# a reply.
_AS_0_1_0: LiteralString = """
    UPDATE usage_ledger SET reason = NULL;
    UPDATE llm_calls SET payer = 'tenant:tenant-1' WHERE purpose = 'agent'"""


def test_posts_of_0_1_0_for_failed_attempts_break_nothing(room: CouncilRoom) -> None:
    take_turns(room)
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(_AS_0_1_0)
        moved = (
            "SELECT FROM usage_ledger l JOIN llm_calls c USING (call_id) WHERE l.account <> split_part(payer, ':', 1)"
        )
        assert room.rows(moved + " AND l.account = 'platform'")
        assert _POSTS not in broken_invariants(room.owner)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE usage_ledger SET account = 'tenant' WHERE account = 'platform' AND purpose = 'agent'",
        "UPDATE usage_ledger SET account = 'platform' WHERE account = 'tenant' AND purpose = 'agent'",
    ],
)
def test_post_of_0_1_0_that_the_wrong_account_bears_is_found(room: CouncilRoom, change: LiteralString) -> None:
    take_turns(room)
    with room.owner.transaction(force_rollback=True):
        room.owner.execute(_AS_0_1_0)
        room.owner.execute("DROP INDEX usage_ledger_one_tenant_reply_per_step")
        room.owner.execute(change)
        assert _POSTS in broken_invariants(room.owner)
