"""Reads the running processes from /proc, without zombies, because a container may never reap an orphan."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 20.0


def eventually(condition: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
    """Return the first true result of `condition`, or fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return result


def runs(pid: int) -> bool:
    return _state(pid)[0] != "Z"


def family_of(pid: int) -> set[int]:
    """`pid` and its descendants."""
    parents = {int(entry.name): _state(int(entry.name))[1] for entry in Path("/proc").glob("[0-9]*")}
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _state(pid: int) -> tuple[str, int]:
    """The state and the parent of a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    state, parent, *_ = stat.rpartition(")")[2].split()
    return state, int(parent)
