"""Tests that freeing leftover holds and publishing lock in one order: the months before their holds."""

from concurrent.futures import Future
from typing import Any

from shared.db.api.budgets import release_leftover_holds
from shared.db.protocol import PUBLISH
from shared.llm.port import Completion, Request
from tests.support.council_room import DEADLINE_S, CouncilRoom, answer, body
from tests.support.other_process import OtherProcess
from tests.support.watched_database import WatchedDatabase


def test_a_turn_whose_hold_was_left_behind_is_published_while_leftovers_are_freed(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    """The release before asked the first agent and left the hold. This release publishes the turn."""
    turn_id = room.take("@writer hello", later=True).turn_id
    (hold,) = room.rows("SELECT id, tenant_id, reason, payer, period, held_usd FROM budget_holds")
    freed: list[Future[Any]] = []

    def leave_behind(_: Request) -> Completion:
        room.owner.execute("INSERT INTO budget_holds VALUES (%s, %s, %s, %s, %s, %s)", tuple(hold.values()))
        query = "UPDATE budgets SET held_usd = held_usd + %s WHERE payer = %s"
        room.owner.execute(query, (hold["held_usd"], hold["payer"]))
        return answer("")

    def free() -> None:
        freed.append(other.start(lambda: release_leftover_holds(ops, DEADLINE_S)))
        room.wait_until_blocked()

    room.provider.enqueue(leave_behind, answer("Roses."))
    room.db.hold(PUBLISH, free, "moved")
    assert body(room.resume(turn_id))["status"] == "completed"
    freed[0].result(DEADLINE_S)
    assert room.rows("SELECT FROM budget_holds") == []
    assert room.rows("SELECT DISTINCT held_usd FROM budgets") == [{"held_usd": 0}]
