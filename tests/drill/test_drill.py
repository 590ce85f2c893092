"""Tests that the drill runs and that it notices a broken release. `make drill` runs all of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drill import checkout

ROOT = Path(__file__).parents[2]


def test_drill_passes_for_one_release_and_notices_a_rename_and_a_refusal() -> None:
    """The drill forks, so it runs in a process of its own without threads."""
    command = [sys.executable, "-m", "tests.drill", "--only", "check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    alike, renamed, refused = json.loads(ran.stdout.splitlines()[-1])
    assert alike == []
    assert "stuck" in renamed
    # The release accepts only the turn for the queue. The drill reports both of the others: the killed and the stopped
    # one.
    assert sorted(refused) == ["drill", "drill", "refused", "refused", "stuck", "stuck"]


def test_drill_says_what_to_do_in_a_clone_without_history() -> None:
    with pytest.raises(checkout.NoHistory, match=r"make drill PREVIOUS="):
        checkout.resolve("0" * 40)
