"""Tests a short slice of each row. `make soak` runs all of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.rows import ROWS

# Each run of the tests makes the same choices. `make soak` makes new ones each time.
_SEED = 4
_PATIENCE_S = 300.0


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.short])
def test_nothing_is_found(tmp_path: Path, name: str) -> None:
    told = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.soak", "--short", "--seed", str(_SEED), "--only", name, "--json", str(told)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    row = json.loads(told.read_text())[name]
    assert row["found"] == []
    assert row["tried"] >= ROWS[name].short
