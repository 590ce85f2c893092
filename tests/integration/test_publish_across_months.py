"""Tests that turns of the last month lock their months in one order when they are published."""

from threading import Event

import pytest

from shared.db.protocol import PUBLISH
from shared.llm.port import Completion
from tests.support.council_room import DEADLINE_S, CouncilRoom, answer, body
from tests.support.other_process import OtherProcess

BLANK, REPLY = answer(""), answer("Roses.")


def begin_month(room: CouncilRoom) -> None:
    """Move all held and spent amounts to the last month."""
    for table in ("llm_calls", "usage_ledger", "budgets", "budget_holds"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())


@pytest.mark.parametrize("answers", [[REPLY], [BLANK, REPLY]], ids=["a reply", "a failed attempt"])
def test_two_turns_with_holds_of_two_months_are_published_at_once(
    room: CouncilRoom, other: OtherProcess, answers: list[Completion]
) -> None:
    """The first turn moves a failed attempt of this month before it releases its hold of the last month."""
    first, second = (room.take("hello", later=True, session_id=room.make_session()).turn_id for _ in range(2))
    begin_month(room)
    ready, may_publish = Event(), Event()

    def wait() -> None:
        ready.set()
        assert may_publish.wait(DEADLINE_S)

    def meet() -> None:
        may_publish.set()
        room.wait_until_blocked()

    other.db.before(PUBLISH, wait)
    other.provider.enqueue(*answers)
    resumed = other.start(lambda: room.resume(second, room.runner(db=other.db, provider=other.provider)))
    assert ready.wait(DEADLINE_S)
    room.db.hold(PUBLISH, meet, "moved")
    room.provider.enqueue(BLANK, REPLY)
    assert body(room.resume(first))["status"] == "completed"
    assert body(resumed.result(DEADLINE_S))["status"] == "completed"
    assert room.rows("SELECT DISTINCT held_usd FROM budgets") == [{"held_usd": 0}]
