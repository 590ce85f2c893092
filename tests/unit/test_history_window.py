"""Tests that the oldest turn of a prompt stays the same for many turns in a full window."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from shared.orchestration.history_window import keep_full, keep_in_steps

BASE = 50


def oldest(sizes: Sequence[int], room: int, *, first: int = 1, is_whole: bool = True) -> tuple[int, int]:
    """The index of the oldest kept turn of turns with these sizes, and the size of the prompt."""

    def size(number: int) -> int:
        return BASE + sum(sizes[len(sizes) - number :])

    kept = keep_in_steps(range(first, first + len(sizes)), size, room, is_whole)
    return first + len(sizes) - kept, size(kept)


def test_all_turns_stay_while_they_fit() -> None:
    for number in range(30):
        assert oldest([10] * number, BASE + 300) == (1, BASE + 10 * number)


@pytest.mark.parametrize(("turns_in_room", "most_moves"), [(8, 35), (20, 15), (40, 7)])
@pytest.mark.parametrize("seed", range(5))
def test_oldest_turn_moves_rarely_when_the_room_is_full(turns_in_room: int, most_moves: int, seed: int) -> None:
    """In 80 turns of unequal size, in a room that each turn's message makes larger or smaller."""
    chance = random.Random(seed)
    sizes = [chance.randrange(50, 150) for _ in range(turns_in_room + 100)]
    kept = []
    for turns in range(turns_in_room + 20, turns_in_room + 100):
        room = BASE + 100 * turns_in_room + chance.randrange(-25, 25)
        start, size = oldest(sizes[:turns], room)
        assert BASE + (room - BASE) // 2 <= size <= room
        kept.append(start)
    assert sum(one != other for one, other in pairwise(kept)) <= most_moves
    assert kept == sorted(kept)


def test_oldest_turn_moves_in_steps_when_older_ones_were_not_loaded() -> None:
    starts = {oldest([10] * 50, 100_000, first=first, is_whole=False)[0] for first in range(2, 82)}
    assert starts == {16, 32, 48, 64, 80, 96}


def test_a_turn_that_is_too_long_ends_the_history() -> None:
    assert oldest([10, 10_000, 10, 10], 200) == (3, BASE + 20)
    assert oldest([10, 10, 10_000], 200) == (4, BASE)


def test_no_turn_is_kept_when_the_rest_fills_the_room() -> None:
    assert oldest([10] * 4, BASE) == (5, BASE)
    assert oldest([10] * 4, BASE - 30) == (5, BASE)


def test_oldest_turn_would_move_with_every_turn_without_steps() -> None:
    kept = [keep_full(range(1, turns), lambda number: 10 * number, 200, True) for turns in range(30, 60)]
    assert set(kept) == {20}
