"""What processes take of this machine, as Linux tells it."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def private_mb(pid: int) -> float:
    """Memory that is in RAM and not shared, in MB; 0 for a process that has ended."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (resident - shared) * _PAGE_MB


def children(pid: int) -> Iterable[int]:
    """Those that a process has started and that live."""
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def cpu_of_children_s() -> float:
    """What this process's children have taken of a core so far, with theirs, those that have ended too, in seconds."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(map(_cpu_s, children(os.getpid())))


def _cpu_s(pid: int) -> float:
    """A process and its children; 0 for one that has ended, which counts where it was waited for."""
    try:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, times)) * _TICK_S + sum(map(_cpu_s, children(pid)))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
