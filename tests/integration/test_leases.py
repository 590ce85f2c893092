"""Tests that a call has a lease that outlasts it, and that a turn is due again after its lease."""

from datetime import datetime
from typing import Any

import pytest

from shared.db.protocol import OPEN
from shared.llm.port import Request
from tests.support.council_room import AMPLE_S, CouncilRoom, answer

# The timeout of a call of the scripted aliases, and the lease's extra time.
CALL_S = 20 + 30
CLAIM_S, QUEUE_S = 30, 60


def clock(room: CouncilRoom) -> datetime:
    now: datetime = room.row("SELECT clock_timestamp() AS now")["now"]
    return now


def times(room: CouncilRoom, seconds: int, since: datetime) -> dict[str, Any]:
    """Return whether the lease ends, and the turn is due, this number of seconds after a moment between `since` and
    now.
    """
    from_now = "{} BETWEEN %s + make_interval(secs => %s) AND clock_timestamp() + make_interval(secs => %s) AS {}"
    leased, due = from_now.format("lease_expires_at", "leased"), from_now.format("dispatch_after", "due")
    return room.row(f"SELECT {leased}, {due} FROM turns", *(since, seconds, seconds) * 2)


@pytest.mark.parametrize(("left", "stays"), [("1 second", False), ("1 day", True)], ids=["renewed", "not shortened"])
def test_every_call_begins_with_a_lease_that_outlasts_it(room: CouncilRoom, left: str, stays: bool) -> None:
    def change(_: Request) -> str:
        begun.append(times(room, CALL_S, since[-1]))
        room.owner.execute(
            "UPDATE turns SET lease_expires_at = clock_timestamp() + %s::interval, dispatch_after = clock_timestamp()",
            (left,),
        )
        changed.append(room.row("SELECT lease_expires_at FROM turns")["lease_expires_at"])
        since.append(clock(room))
        return "Roses."

    def look(_: Request) -> str:
        begun.append(times(room, CALL_S, since[-1]))
        changed.append(room.row("SELECT lease_expires_at, dispatch_after FROM turns"))
        return "Violets."

    begun: list[dict[str, Any]] = []
    changed: list[Any] = []
    since = [clock(room)]
    room.provider.enqueue(change, look, answer())
    assert room.take("@writer @critic hello").published
    assert begun == [{"leased": True, "due": True}, {"leased": not stays, "due": not stays}]
    assert (changed[1] == {"lease_expires_at": changed[0], "dispatch_after": changed[0]}) is stays


def test_a_turn_that_was_claimed_is_due_when_the_lease_of_its_claim_is_over(room: CouncilRoom) -> None:
    def look() -> None:
        claimed.append(times(room, CLAIM_S, since))

    claimed: list[dict[str, Any]] = []
    since = clock(room)
    turn_id = room.take("@writer hello", later=True).turn_id
    assert times(room, QUEUE_S, since)["due"]
    room.db.before(OPEN, look)
    since = clock(room)
    room.resume(turn_id)
    assert claimed == [{"leased": True, "due": True}]


def test_a_turn_that_was_given_back_is_due_soon_and_not_when_its_lease_would_have_ended(room: CouncilRoom) -> None:
    def lend(_: Request) -> str:
        tomorrow = "lease_expires_at = clock_timestamp() + interval '1 day'"
        room.owner.execute(f"UPDATE turns SET {tomorrow}, dispatch_after = clock_timestamp()".encode())
        since.append(clock(room))
        return "Roses."

    left, since = iter([AMPLE_S]), list[datetime]()
    room.provider.enqueue(lend)
    room.take("@writer @critic hello", runner=room.runner(seconds_left=lambda: next(left, 0.0)))
    assert times(room, QUEUE_S, since[0]) == {"leased": None, "due": True}
