"""Tests child processes that must end with their parent, where that could fail."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local import process
from local.postgres import start
from tests.support.launched import DEADLINE_S


def test_a_child_is_refused_to_a_thread_that_may_end_before_it(tmp_path: Path) -> None:
    refusals: list[RuntimeError] = []

    def spawn_elsewhere() -> None:
        try:
            start(tmp_path)
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=spawn_elsewhere)
    thread.start()
    thread.join(DEADLINE_S)
    assert len(refusals) == 1


def test_child_gets_no_variable_of_the_users_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "canary")
    with (tmp_path / "said").open("wb") as said:
        assert process.spawn(["/usr/bin/env"], output=said, cwd=tmp_path).wait(DEADLINE_S) == 0
    told = dict(line.split("=", 1) for line in (tmp_path / "said").read_text().splitlines())
    assert told.items() >= process.CLEAN.items()
    # Python adds LC_CTYPE in the locale C.
    assert told.keys() - process.CLEAN.keys() <= {"LC_CTYPE"}


def test_a_child_whose_parent_died_before_it_asked_for_the_signal_ends_itself() -> None:
    not_its_parent = str(os.getppid())
    command = [sys.executable, process.__file__, not_its_parent, str(int(signal.SIGTERM))]
    become = [*command, str(os.geteuid()), str(os.getegid()), "/bin/sleep", "600"]
    assert subprocess.run(become, stderr=subprocess.DEVNULL, timeout=DEADLINE_S, check=False).returncode == 1
