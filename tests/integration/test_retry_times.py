"""Tests that the journal keeps the time before which a provider is not asked again, for every process."""

import time
from collections.abc import Callable

import pytest

from shared.catalog import CALL_MARGIN_S
from shared.domain.outcome import TurnOutcome
from shared.llm.port import Completion, Request
from shared.orchestration import attempts
from shared.orchestration.attempts import LEASED_PAUSE_S
from shared.turns.run import Runner
from tests.support.council_room import AMPLE_S, CouncilRoom, Killed, answer, body, names

# A call of the scripted aliases needs half of its own time.
CALL_S = 10.0 + CALL_MARGIN_S


def throttled(retry_after_s: float | None) -> Completion:
    return Completion("unbilled", error="throttled", retry_after_s=retry_after_s)


def worker(room: CouncilRoom) -> Runner:
    """The runner of a process without a waiting client."""
    return Runner(room.db, room.provider, lambda: AMPLE_S, LEASED_PAUSE_S)


def let_pass(room: CouncilRoom, seconds: float) -> None:
    """Make the journal's outcomes this number of seconds older."""
    room.owner.execute(
        """UPDATE llm_calls SET finished_at = finished_at - make_interval(secs => %(s)s),
        retry_at = retry_at - make_interval(secs => %(s)s)""",
        {"s": seconds},
    )


@pytest.fixture
def asked(room: CouncilRoom) -> list[float]:
    """The times of the provider's calls. It throttles the first call for a second."""
    times: list[float] = []

    def at(reply: Completion) -> Callable[[Request], Completion]:
        def arrive(_: Request) -> Completion:
            times.append(time.monotonic())
            return reply

        return arrive

    room.provider.enqueue(at(throttled(1.0)), at(answer()), at(answer()))
    return times


@pytest.mark.parametrize("leased_s", [0.1, 5.0], ids=["before its intent", "after its intent"])
def test_a_retry_waits_in_the_process_that_takes_over_from_a_killed_one(
    room: CouncilRoom, asked: list[float], monkeypatch: pytest.MonkeyPatch, leased_s: float
) -> None:
    monkeypatch.setattr(attempts, "LEASED_PAUSE_S", leased_s)

    def die(_: float) -> None:
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr("shared.orchestration.attempts.time.sleep", die)
        turn_id = room.take_until_killed("@writer hello")
    assert len(asked) == 1
    other = room.runner(db=room.open_database())
    assert body(room.resume(turn_id, other))["status"] == "completed"
    assert len(asked) == 2
    assert 1.0 <= asked[1] - asked[0] < 3.0
    assert (
        room.row("SELECT retry_at - finished_at AS wait FROM llm_calls WHERE attempt = 1")["wait"].total_seconds() == 1
    )


def test_a_turn_whose_wait_does_not_fit_is_handed_over_until_the_provider_may_be_asked(room: CouncilRoom) -> None:
    room.provider.enqueue(throttled(6.0), answer("Roses."))
    outcome = room.take("@writer hello", runner=room.runner(seconds_left=lambda: CALL_S + 3.0))
    assert (outcome.handed_over, outcome.status) == (True, "accepted")
    assert 5.0 < outcome.wait_s <= 6.0
    due = room.row("SELECT extract(epoch FROM dispatch_after - clock_timestamp())::float AS seconds FROM turns")
    assert 60.0 < due["seconds"] <= 66.0
    assert room.calls() == [(0, 1, "fast", "unbilled", None, "throttled")]
    # Messages arrive early, and more often than a turn may be claimed without an outcome.
    for _ in range(5):
        early = room.resume(outcome.turn_id, worker(room))
        assert isinstance(early, TurnOutcome)
        assert early.handed_over
        assert LEASED_PAUSE_S < early.wait_s <= 6.0
    assert room.row("SELECT expired_claims, status FROM turns") == {"expired_claims": 0, "status": "accepted"}
    assert len(room.provider.requests) == 1
    let_pass(room, 6.0)
    turn = body(room.resume(outcome.turn_id, worker(room)))
    assert (turn["status"], turn["output"], len(room.provider.requests)) == ("completed", "Roses.", 2)


def test_a_worker_waits_for_a_moment_under_the_lease_of_its_intent(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[tuple[float, str]] = []

    def sleep(seconds: float) -> None:
        slept.append((seconds, room.row("SELECT status FROM llm_calls WHERE attempt = 2")["status"]))

    room.provider.enqueue(throttled(6.0), answer())
    outcome = room.take("@writer hello", runner=room.runner(seconds_left=lambda: CALL_S + 3.0))
    let_pass(room, 5.0)
    monkeypatch.setattr("shared.orchestration.attempts.time.sleep", sleep)
    assert body(room.resume(outcome.turn_id, worker(room)))["status"] == "completed"
    ((seconds, status),) = slept
    assert (0.0 < seconds <= 1.0, status) == (True, "intent")


def test_a_long_wait_leads_to_the_fallback_alias_in_another_process_too(room: CouncilRoom) -> None:
    room.provider.enqueue(throttled(31.0), answer("Violets."))
    left = iter([CALL_S])
    outcome = room.take("@researcher hello", runner=room.runner(seconds_left=lambda: next(left, CALL_S - 0.1)))
    assert (outcome.handed_over, outcome.wait_s) == (True, 0.0)
    # Less than half a minute is left of the wait.
    let_pass(room, 10.0)
    turn = body(room.resume(outcome.turn_id, worker(room)))
    assert names(turn["replies"]) == [("researcher", "completed", None)]
    assert room.calls("model_alias, status") == [("deep", "unbilled"), ("fast", "succeeded")]


def test_call_without_a_named_wait_has_no_retry_time(room: CouncilRoom) -> None:
    room.provider.enqueue(throttled(None), answer())
    assert body(room.take("@writer hello"))["status"] == "completed"
    assert room.calls("retry_at") == [(None,), (None,)]
