"""Choose how many of the newest turns a prompt keeps, so that the oldest one stays the same for many turns.

Providers cache the common beginning of two prompts. If each turn removed the oldest turn, no two prompts would begin
with the same text. So history is cut in steps: if it does not fit, up to half of it is removed at once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

# Returns the number of newest turns to keep. Its arguments: the indexes of the turns (oldest first); a function from a
# number of turns to the prompt's size; the room; and whether no earlier turn is missing.
Keep = Callable[[Sequence[int], Callable[[int], int], int, bool], int]


def keep_in_steps(indexes: Sequence[int], size: Callable[[int], int], room: int, is_whole: bool) -> int:
    """Keep all turns if they fit. Otherwise keep turns that fill between half of the room and all of it.

    Among these choices, the oldest kept turn is the one whose index has the highest power of two as a factor. It does
    not depend on an earlier choice, and rarely changes if the room grows or shrinks a little.
    """
    if is_whole and size(len(indexes)) <= room:
        return len(indexes)
    most = _fitting(indexes, size, room)
    # The next older turn was not loaded, or there is no room for it.
    full = size(most) if most == len(indexes) else room
    least = bisect_left(range(most + 1), size(0) + (full - size(0)) // 2, key=size)
    return max(range(min(least, most), most + 1), key=lambda number: (_steadiness(indexes, number), number))


def keep_full(indexes: Sequence[int], size: Callable[[int], int], room: int, is_whole: bool) -> int:  # noqa: ARG001
    """Keep as many turns as there is room for."""
    return _fitting(indexes, size, room)


def _fitting(indexes: Sequence[int], size: Callable[[int], int], room: int) -> int:
    return bisect_right(range(1, len(indexes) + 1), room, key=size)


def _steadiness(indexes: Sequence[int], number: int) -> int:
    """The highest power of two that divides the index of the oldest of the newest `number` turns."""
    if number == 0:
        return 0
    index = indexes[len(indexes) - number]
    return index & -index
