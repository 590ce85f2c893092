"""Gives this process a wrong wall clock. Its monotonic clock stays right."""

import time

_TIME, _TIME_NS = time.time, time.time_ns


def shift(seconds: int) -> None:
    """Set this process's clock ahead by this number of seconds, or back by a negative one."""

    def time_() -> float:
        return _TIME() + seconds

    def time_ns() -> int:
        return _TIME_NS() + seconds * 1_000_000_000

    for name, replacement in (("time", time_), ("time_ns", time_ns)):
        setattr(time, name, replacement)
