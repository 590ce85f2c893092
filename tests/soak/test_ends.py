"""The processes of a soak and of the faults end with the program that started them."""

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
# All that these programs import takes its time on a busy machine.
_PATIENCE_S = 120.0
# A program, how many processes it is to be by then, and what it is sent.
_ENDS = [
    # The row, its provider, its server.
    (("tests.soak", "--only", "load", *_HOUR), 4, signal.SIGTERM),
    # The row, the tracker of its resources, and its two halves.
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
    """A process that takes SIGINT, even where these tests run in the background and do not."""
    with (folder / "said.log").open("wb") as said:
        started = process.spawn(
            [sys.executable, *words], output=said, cwd=_ROOT, death_signal=signal.SIGINT, env=os.environ
        )
    try:
        yield started
    finally:
        process.end(started, patience_s=0)
