"""Tests that the processes of a soak and of the faults end with the program that started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import process
from tests.support.processes import eventually, family_of, runs

_ROOT = Path(__file__).parents[2]
_HOUR = ("--rounds", "3600")
# The imports of these programs take long on a busy machine.
_PATIENCE_S = 120.0
# A program, the number of its processes when it is up, and the signal that it gets.
_ENDS = [
    # The row, its provider and its server.
    (("tests.soak", "--only", "load", *_HOUR), 4, signal.SIGTERM),
    # The row, its resource tracker and its two halves.
    (("tests.soak", "--only", "machine", *_HOUR), 5, signal.SIGKILL),
    (("tests.faults", "--only", "kill", *_HOUR), 4, signal.SIGKILL),
]


@pytest.mark.parametrize(("words", "number", "sent"), _ENDS)
def test_no_child_outlives_its_parent(
    words: tuple[str, ...], number: int, sent: signal.Signals, tmp_path: Path
) -> None:
    with _python(tmp_path, "-m", *words) as parent:
        family = eventually(lambda: len(found := family_of(parent.pid)) >= number and found, _PATIENCE_S)
        parent.send_signal(sent)
        eventually(lambda: parent.poll() is not None and not any(map(runs, family)), _PATIENCE_S)


@contextmanager
def _python(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that handles SIGINT, even if these tests run in the background and ignore it."""
    with (folder / "said.log").open("wb") as said:
        started = process.spawn(
            [sys.executable, *words], output=said, cwd=_ROOT, death_signal=signal.SIGINT, env=os.environ
        )
    try:
        yield started
    finally:
        process.end(started, patience_s=0)
