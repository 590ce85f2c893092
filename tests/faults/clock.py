"""A process whose wall clock is wrong. Its other clock, which only counts seconds, stays as it is."""

import time

_TIME, _TIME_NS = time.time, time.time_ns


def shift(seconds: int) -> None:
    """Let this process's clock be so many seconds ahead, or behind, from now on."""

    def time_() -> float:
        return _TIME() + seconds

    def time_ns() -> int:
        return _TIME_NS() + seconds * 1_000_000_000

    for name, replacement in (("time", time_), ("time_ns", time_ns)):
        setattr(time, name, replacement)
