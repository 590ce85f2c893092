"""Tests that the benchmark of handing over counts turns with today's limits and those of the release before."""

import pytest

from bench.handed_over import CASES, Taken, take
from bench.world import KEYS, Case

CALL_S = 0.02


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.mode)
def test_a_turn_of_four_calls_is_not_handed_over_and_each_of_its_calls_is_noted(
    case: Case, logging_as_it_was: None
) -> None:
    for turn in take(case, 2, CALL_S):
        assert (turn.status, turn.handed_over, len(turn.calls)) == (201, False, 4)
        begun = [at for at, _ in turn.calls]
        assert begun == sorted(begun)
        assert turn.seconds >= 4 * CALL_S


def test_a_turn_that_has_no_time_is_counted_as_handed_over(logging_as_it_was: None) -> None:
    (turn,) = take(Case("roundtable, 2 agents", "roundtable", KEYS[:2]), 1, CALL_S, seconds=1.0)
    assert (turn.status, turn.handed_over, turn.calls) == (202, True, [])


@pytest.mark.parametrize(("begun", "handed_over"), [((0.0,), False), ((0.0, 2.0), False), ((0.0, 2.01), True)])
def test_release_before_began_a_call_only_with_its_timeout_and_three_seconds_left(
    begun: tuple[float, ...], handed_over: bool
) -> None:
    assert Taken(201, 5.0, [(at, 20.0) for at in begun]).handed_over_before is handed_over
