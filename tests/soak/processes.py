"""Reads the memory and the children of a process from Linux."""

import os
from collections.abc import Iterable
from pathlib import Path

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def private_mb(pid: int) -> float:
    """Return memory in RAM that is not shared, in MB; 0 for a process that has ended."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (resident - shared) * _PAGE_MB


def children(pid: int) -> Iterable[int]:
    """Return the living children of a process."""
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
