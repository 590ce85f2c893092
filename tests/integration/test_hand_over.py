"""Tests that a turn beyond its process's time goes on in another process, and that no call is cut short."""

import time
from collections.abc import Callable

import psycopg
import pytest

from shared.catalog import CALL_MARGIN_S
from shared.db.protocol import RECORD, RELEASE
from shared.errors import DatabaseUnavailable, JournalUnavailable
from tests.support.council_room import AMPLE_S, FAST_COST, CouncilRoom, answer, body, names

# A call of the scripted aliases needs half of its own time.
ENOUGH_S = 10.0 + CALL_MARGIN_S


def for_calls(number: int) -> Callable[[], float]:
    """Return the time of a process in which this number of calls fits."""
    left = iter([ENOUGH_S] * number)
    return lambda: next(left, ENOUGH_S - 0.001)


@pytest.mark.parametrize("fitting", [0, 1, 2])
def test_a_turn_goes_on_where_it_was_handed_over(room: CouncilRoom, fitting: int) -> None:
    room.provider.enqueue("Roses.", "Violets.", "Lilies.")
    # The release sends the last outcome, which is not written again.
    room.db.before(RECORD, pytest.fail)
    began = time.monotonic()
    outcome = room.take("@writer @researcher @critic hello", runner=room.runner(seconds_left=for_calls(fitting)))
    assert (outcome.handed_over, outcome.status, outcome.ended) == (True, "accepted", False)
    assert (len(outcome.calls), 0 < outcome.seconds < time.monotonic() - began) == (fitting, True)
    assert len(body(outcome)["replies"]) == len(room.provider.requests) == fitting
    assert room.calls("status") == [("succeeded",)] * fitting
    waiting = room.row("SELECT lease_expires_at, dispatch_after > clock_timestamp() AS due_later FROM turns")
    assert waiting == {"lease_expires_at": None, "due_later": True}
    turn = body(room.resume(outcome.turn_id))
    assert (turn["status"], turn["output"]) == (
        "completed",
        "Writer: Roses.\n\nResearcher: Violets.\n\nCritic: Lilies.",
    )
    assert len(room.provider.requests) == 3
    assert room.row("SELECT expired_claims FROM turns") == {"expired_claims": 0}


def test_a_turn_for_later_is_accepted_without_a_call(room: CouncilRoom) -> None:
    outcome = room.take("@writer hello", idempotency_key="key-1", later=True)
    assert (outcome.handed_over, outcome.status, body(outcome)["plan"]) == (True, "accepted", None)
    # No process has claimed it: each claim raises the epoch.
    assert room.row("SELECT lease_epoch FROM turns") == {"lease_epoch": 0}
    again = room.take("@writer hello", idempotency_key="key-1", later=True)
    assert (again.turn_id, again.replayed) == (outcome.turn_id, False)
    assert room.provider.requests == []
    ended = room.resume(outcome.turn_id)
    assert ended is not None
    assert room.take("@writer hello", idempotency_key="key-1").body == ended.body


def test_turn_for_later_asks_the_agents_of_its_request(room: CouncilRoom) -> None:
    outcome = room.take("@writer hello", mode="manual", agent_keys=("critic", "researcher"), later=True)
    turn = body(room.resume(outcome.turn_id))
    assert turn["plan"] == {"selected_agent_keys": ["critic", "researcher"], "source": "request", "unknown_tags": []}


def test_another_attempt_of_a_step_is_handed_over_too(room: CouncilRoom) -> None:
    room.provider.enqueue(answer(" "), answer())
    outcome = room.take("@writer hello", runner=room.runner(seconds_left=for_calls(1)))
    assert (outcome.handed_over, room.calls()) == (True, [(0, 1, "fast", "succeeded", None, "empty_reply")])
    assert names(body(room.resume(outcome.turn_id))["replies"]) == [("writer", "completed", None)]
    assert room.accounts() == {"tenant": FAST_COST, "platform": FAST_COST}


@pytest.mark.parametrize("fitting", [0, 1], ids=["never begun", "begun"])
def test_turn_is_given_up_after_three_hand_overs_without_a_call(room: CouncilRoom, fitting: int) -> None:
    none_fits = room.runner(seconds_left=for_calls(0))
    outcome = room.take("@writer @critic hello", runner=room.runner(seconds_left=for_calls(fitting)))
    for number in (1, 2, 3):
        handed = room.resume(outcome.turn_id, none_fits)
        assert handed is not None
        assert handed.handed_over
        assert room.row("SELECT expired_claims FROM turns") == {"expired_claims": number}
    turn = body(room.resume(outcome.turn_id, room.runner(seconds_left=lambda: AMPLE_S)))
    assert (turn["status"], turn["error"]["code"]) == ("failed", "turn_abandoned")
    assert len(room.provider.requests) == fitting


def test_release_without_an_answer_keeps_the_outcome(room: CouncilRoom) -> None:
    room.db.lose_answer(RELEASE)
    with pytest.raises(JournalUnavailable):
        room.take("@writer @critic hello", runner=room.runner(seconds_left=for_calls(1)))
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    assert body(room.resume(room.row("SELECT id FROM turns")["id"]))["status"] == "completed"


@pytest.mark.parametrize("error", [DatabaseUnavailable, psycopg.errors.DataCorrupted])
def test_a_release_that_fails_keeps_the_outcome_and_its_lease(room: CouncilRoom, error: type[Exception]) -> None:
    def fail() -> None:
        raise error

    room.db.before(RELEASE, fail)
    with pytest.raises(JournalUnavailable):
        room.take("@writer @critic hello", runner=room.runner(seconds_left=for_calls(1)))
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    leased = "SELECT id, status, lease_expires_at > clock_timestamp() AS leased FROM turns"
    turn = room.row(leased)
    assert (turn["status"], turn["leased"]) == ("running", True)
    room.expire_lease()
    assert body(room.resume(turn["id"]))["status"] == "completed"
