"""A call has a lease that outlasts it, and a turn is due again when its lease is over."""

from typing import Any

import pytest

from shared.db.journal import OPEN
from shared.llm.port import Request
from tests.council_room import AMPLE_S, CouncilRoom, answer

# What a call of the scripted aliases may take, with half of what a lease has beyond it, and with all.
OUTLASTS_S, AT_MOST_S = 20 + 15, 20 + 30
# Of a turn that waits for the queue.
SOON = """SELECT dispatch_after > clock_timestamp() + interval '30 seconds' AS not_at_once,
    dispatch_after <= clock_timestamp() + interval '1 minute' AS soon FROM turns"""


def lease(room: CouncilRoom) -> dict[str, Any]:
    return room.row(
        """SELECT lease_expires_at, abs(extract(epoch FROM dispatch_after - lease_expires_at)) < 1 AS due_at_its_end,
            lease_expires_at > clock_timestamp() + make_interval(secs => %s) AS outlasts_the_call,
            lease_expires_at <= clock_timestamp() + make_interval(secs => %s) AS no_longer_than_that FROM turns""",
        OUTLASTS_S,
        AT_MOST_S,
    )


@pytest.mark.parametrize(("left", "stays"), [("1 second", False), ("1 day", True)], ids=["renewed", "not shortened"])
def test_every_call_begins_with_a_lease_that_outlasts_it(room: CouncilRoom, left: str, stays: bool) -> None:
    def change(_: Request) -> str:
        leases.append(lease(room))
        room.owner.execute(
            "UPDATE turns SET lease_expires_at = clock_timestamp() + %s::interval, dispatch_after = clock_timestamp()",
            (left,),
        )
        changed.append(lease(room)["lease_expires_at"])
        return "Roses."

    def look(_: Request) -> str:
        leases.append(lease(room))
        return "Violets."

    leases: list[dict[str, Any]] = []
    changed: list[object] = []
    room.provider.enqueue(change, look, answer())
    assert room.take("@writer @critic hello").published
    assert [(one["due_at_its_end"], one["outlasts_the_call"]) for one in leases] == [(True, True)] * 2
    assert [one["no_longer_than_that"] for one in leases] == [True, not stays]
    assert (leases[1]["lease_expires_at"] == changed[0]) is stays


def test_a_turn_that_was_claimed_is_due_when_the_lease_of_its_claim_is_over(room: CouncilRoom) -> None:
    def look() -> None:
        claimed.append(lease(room) | room.row(of_claim))

    of_claim = "SELECT lease_expires_at <= clock_timestamp() + interval '30 seconds' AS short FROM turns"
    claimed: list[dict[str, Any]] = []
    turn_id = room.take("@writer hello", later=True).turn_id
    assert room.row(SOON) == {"not_at_once": True, "soon": True}
    room.db.before(OPEN, look)
    room.resume(turn_id)
    assert (claimed[0]["due_at_its_end"], claimed[0]["short"]) == (True, True)


def test_a_turn_that_was_given_back_is_due_soon_and_not_when_its_lease_would_have_ended(room: CouncilRoom) -> None:
    def lend(_: Request) -> str:
        tomorrow = "lease_expires_at = clock_timestamp() + interval '1 day'"
        room.owner.execute(f"UPDATE turns SET {tomorrow}, dispatch_after = clock_timestamp()".encode())
        return "Roses."

    left = iter([AMPLE_S])
    room.provider.enqueue(lend)
    room.take("@writer @critic hello", runner=room.runner(seconds_left=lambda: next(left, 0.0)))
    assert room.row(SOON) == {"not_at_once": True, "soon": True}
