"""What was started ends with who started it, however that ends, and what was taken of a core is counted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import process
from tests.mutation.forks import in_fork
from tests.soak.processes import cpu_of_children_s
from tests.support.processes import eventually, family_of, runs

_ROOT = Path(__file__).parents[2]
_HOUR = ("--rounds", "3600")
# All that these programs import takes its time on a busy machine.
_PATIENCE_S = 120.0
_LOAD, _MACHINE = ("tests.soak", "--only", "load", *_HOUR), ("tests.soak", "--only", "machine", *_HOUR)
# A program, how many processes it is to be by then, and what it is sent.
_ENDS = [
    # The row, its provider, its server.
    (_LOAD, 4, signal.SIGTERM),
    (_LOAD, 4, signal.SIGINT),
    # The row, who tracks its resources, and its two halves.
    (_MACHINE, 5, signal.SIGKILL),
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


def test_a_fork_that_tries_a_mutant_ends_with_its_parent(tmp_path: Path) -> None:
    work = "from time import sleep; from tests.mutation.forks import in_fork; in_fork(lambda: sleep(600), 600.0)"
    with _python(tmp_path, "-c", work) as parent:
        family = eventually(lambda: len(found := family_of(parent.pid)) > 1 and found)
        parent.kill()
        eventually(lambda: not any(map(runs, family)))
    assert in_fork(lambda: "what it returns", 60.0) == "what it returns"


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


_BUSY_S = 0.2
# Takes so much of a core, in a child of its own and then itself, and says so.
_BUSY = f"""
import os, sys, time
if not os.fork():
    while time.process_time() < {_BUSY_S}: pass
    os._exit(0)
os.wait()
burnt = time.process_time() + {_BUSY_S}
while time.process_time() < burnt: pass
print("done", flush=True)
time.sleep(600)
"""


def test_cpu_is_that_of_children_and_theirs_while_they_live_and_after() -> None:
    before = cpu_of_children_s()
    with subprocess.Popen([sys.executable, "-c", _BUSY], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alive = cpu_of_children_s() - before
        child.kill()
    # Both sides are whole ticks; as floats, equal ones may differ in the last digit.
    assert round(alive, 6) >= round(2 * _BUSY_S - 2 / os.sysconf("SC_CLK_TCK"), 6)
    assert cpu_of_children_s() - before >= alive - 2 / os.sysconf("SC_CLK_TCK")
