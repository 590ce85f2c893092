"""Tests a runner that lost its lease without knowing: it records its call's cost, and decides nothing any more."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import pytest

from shared.db.protocol import OPEN, PUBLISH, RECORD
from shared.domain.outcome import TurnOutcome
from shared.errors import JournalUnavailable
from shared.llm.port import Completion, Request
from shared.llm.scripted import ScriptedProvider
from tests.support.council_room import AMPLE_S, FAST_COST, CouncilRoom, Killed, answer, body, unbilled, unknown

# The state of a runner that returns from its first call: the message, and its remaining time.
WAYS = {
    "asks on": ("@writer @critic hello", AMPLE_S),
    "publishes": ("@writer hello", AMPLE_S),
    "hands over": ("@writer @critic hello", 0.0),
}


def die(_: Request) -> str:
    raise Killed


def run_into_a_successor(room: CouncilRoom, way: str, late: Completion, successor: Callable[[], object]) -> TurnOutcome:
    """Take a turn whose lease ends in its first call. Then `successor` runs, and then `late` returns."""
    message, then_left = WAYS[way]
    left = iter([AMPLE_S])

    def come_back_late(_: Request) -> Completion:
        room.expire_lease()
        successor()
        return late

    room.provider.enqueue(come_back_late)
    return room.take(message, runner=room.runner(seconds_left=lambda: next(left, then_left)))


def resume_as_another(room: CouncilRoom, provider: ScriptedProvider) -> TurnOutcome | None:
    turn_id = room.row("SELECT id FROM turns")["id"]
    return room.resume(turn_id, room.runner(db=room.open_database(), provider=provider))


def entries(room: CouncilRoom) -> list[tuple[object, ...]]:
    """Return the ledger's entries of the late call."""
    rows = room.rows(
        "SELECT kind, account, amount_usd, input_tokens FROM usage_ledger WHERE attempt = 1 AND step = 0 ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("way", WAYS)
def test_late_outcome_is_only_an_adjustment_after_the_turns_end(room: CouncilRoom, way: str) -> None:
    successor = ScriptedProvider()
    if way != "publishes":
        # A runner that has lost the turn does not even try.
        room.db.before(PUBLISH, pytest.fail)
    outcome = run_into_a_successor(room, way, answer("Too late."), lambda: resume_as_another(room, successor))
    stored = room.row("SELECT status, response, lease_epoch FROM turns")
    assert (outcome.body, outcome.status, stored["lease_epoch"]) == (stored["response"], "completed", 2)
    assert (outcome.published, outcome.handed_over, len(room.provider.requests)) == (False, False, 1)
    assert "Too late." not in stored["response"]
    assert room.calls("step, attempt, status, verdict, output")[0] == (0, 1, "succeeded", None, None)
    (reserve,) = room.calls("reserve_usd")[0]
    assert entries(room) == [
        ("post", "suspense", reserve, 0),
        ("adjustment", "suspense", -reserve, 0),
        ("adjustment", "platform", FAST_COST, 1000),
    ]
    assert room.accounts()["tenant"] == Decimal(body(outcome)["cost_usd"])


@pytest.mark.parametrize("way", WAYS)
def test_a_late_outcome_that_cost_nothing_leaves_nothing_in_suspense(room: CouncilRoom, way: str) -> None:
    run_into_a_successor(room, way, unbilled("refused"), lambda: resume_as_another(room, ScriptedProvider()))
    assert room.accounts()["suspense"] == 0
    assert room.accounts().get("platform", 0) == 0
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": 0}


@pytest.mark.parametrize("way", WAYS)
def test_a_late_outcome_that_is_unknown_stays_in_suspense_and_is_kept(room: CouncilRoom, way: str) -> None:
    run_into_a_successor(room, way, unknown(), lambda: resume_as_another(room, ScriptedProvider()))
    (reserve,) = room.calls("reserve_usd")[0]
    assert room.accounts()["suspense"] == reserve
    assert entries(room) == [("post", "suspense", reserve, 0)]
    kept = room.row(
        "SELECT error_code, finished_at IS NOT NULL AS finished FROM llm_calls WHERE attempt = 1 AND step = 0"
    )
    assert kept == {"error_code": "timeout", "finished": True}


@pytest.mark.parametrize("way", WAYS)
def test_late_answer_is_no_reply_and_paid_by_the_platform_when_another_runner_has_the_turn(
    room: CouncilRoom, way: str
) -> None:
    """The successor dies in its own call, so that the turn is not the late runner's and has not ended."""
    successor = ScriptedProvider()
    successor.enqueue(die)

    def take_over_and_die() -> None:
        with suppress(Killed):
            resume_as_another(room, successor)

    outcome = run_into_a_successor(room, way, answer("Too late."), take_over_and_die)
    assert (outcome.published, outcome.handed_over, len(room.provider.requests)) == (False, False, 1)
    assert room.row("SELECT status, lease_epoch FROM turns") == {"status": "running", "lease_epoch": 2}
    assert room.rows("SELECT turn_id FROM replies") == []
    assert room.calls("attempt, status, verdict, cost_usd") == [
        (1, "succeeded", None, FAST_COST),
        (2, "intent", None, 0),
    ]
    room.expire_lease()
    turn = body(resume_as_another(room, successor))
    assert "Too late." not in turn["output"]
    assert [row for row in room.calls("attempt, status, verdict, step") if row[3] == 0] == [
        (1, "succeeded", None, 0),
        (2, "unknown", None, 0),
        (3, "succeeded", "reply", 0),
    ]
    assert entries(room) == [("post", "platform", FAST_COST, 1000)]
    assert turn["platform_cost_usd"] == str(FAST_COST)


def test_a_late_outcome_survives_a_connection_that_is_cut(room: CouncilRoom) -> None:
    """Its statement is rolled back. It is sent again over a new connection, after the end of its turn."""
    room.db.hold(OPEN, room.cut_connections)
    with pytest.raises(JournalUnavailable):
        run_into_a_successor(room, "asks on", answer("Too late."), lambda: resume_as_another(room, ScriptedProvider()))
    assert room.calls("status, cost_usd")[0] == ("succeeded", FAST_COST)
    assert room.accounts()["platform"] == FAST_COST


def test_runner_cannot_publish_a_turn_that_it_gave_back(room: CouncilRoom) -> None:
    """Its epoch is still the runner's until another claim."""
    give_back = "UPDATE turns SET status = 'accepted', lease_expires_at = NULL"
    room.db.before(OPEN, lambda: room.owner.execute(give_back))
    outcome = room.take("@writer @critic hello")
    assert (outcome.status, len(room.provider.requests)) == ("accepted", 1)
    assert room.calls("status, verdict") == [("succeeded", None)]
    room.resume(outcome.turn_id)


def test_repeated_record_of_an_outcome_keeps_its_verdict(room: CouncilRoom) -> None:
    """The commit succeeded without an answer. When its runner records it again, the turn belongs to another one."""
    successor = ScriptedProvider()
    successor.enqueue(die)

    def take_over_and_die() -> None:
        room.expire_lease()
        with suppress(Killed):
            resume_as_another(room, successor)

    room.db.lose_answer(OPEN)
    room.db.before(RECORD, take_over_and_die)
    with pytest.raises(JournalUnavailable):
        room.take("@writer @critic hello")
    assert room.calls("step, attempt, status, verdict")[0] == (0, 1, "succeeded", "reply")
    room.expire_lease()
    assert body(resume_as_another(room, successor))["status"] == "completed"
    assert room.calls("step, attempt, status, verdict") == [
        (0, 1, "succeeded", "reply"),
        (1, 1, "unknown", None),
        (1, 2, "unknown", None),
        (1, 3, "succeeded", "reply"),
    ]
