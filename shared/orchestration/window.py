"""Choose how many of the newest turns a prompt keeps, so that the oldest one stays the same for many turns.

Providers cache what two prompts begin with. If each turn pushed out the oldest one, no two prompts would begin alike.
So history gives way in steps: when it has outgrown the room, up to half of it leaves at once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

# How many of the newest turns to keep, of turns with these indexes (oldest first), in so much room. `size` tells the
# size of a prompt with so many of them. `is_whole`: no turn before them is missing.
Keep = Callable[[Sequence[int], Callable[[int], int], int, bool], int]


def keep_in_steps(indexes: Sequence[int], size: Callable[[int], int], room: int, is_whole: bool) -> int:
    """Keep all turns where they fit, else between half a room and a full one.

    The oldest kept turn is the one of these whose index has the highest power of two as a factor. It depends on no
    earlier choice, and a room that grows or shrinks a little does not move it.
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
