"""The drill can be run, and it can fail. `make drill` runs all of it, against the release before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drill import checkout

ROOT = Path(__file__).parents[2]


def test_two_releases_finish_each_others_turns_and_a_rename_and_a_refusal_are_noticed() -> None:
    """In a process of its own: it forks, and this one may have threads."""
    command = [sys.executable, "-m", "tests.drill", "--only", "check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    alike, renamed, refused = json.loads(ran.stdout.splitlines()[-1])
    assert alike == []
    assert "stuck" in renamed
    # It accepts the turn that is left to the queue. One was to be killed and one to be stopped: both are tried.
    assert sorted(refused) == ["drill", "drill", "refused", "refused", "stuck", "stuck"]


def test_a_clone_without_history_says_what_to_do() -> None:
    with pytest.raises(checkout.NoHistory, match=r"make drill PREVIOUS="):
        checkout.resolve("0" * 40)
