"""Tests a short slice of the fault matrix and its negative controls. `make faults` runs all of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rows import ROWS
from tests.faults.sabotage import SABOTAGES
from tests.faults.tampering import TAMPERING

# Each run of the tests makes the same choices. `make faults` makes new ones each time.
_SEED = 4
_PATIENCE_S = 600.0


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The findings of the slice. It runs in a process of its own, because the matrix forks and this process may have
    threads.
    """
    found = tmp_path_factory.mktemp("faults") / "report.json"
    command = [sys.executable, "-m", "tests.faults", "--short", "--seed", str(_SEED), "--json", str(found)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert found.exists(), f"{run.stdout}\n{run.stderr}"
    loaded: dict[str, Any] = json.loads(found.read_text())
    return loaded


@pytest.mark.parametrize("name", ROWS)
def test_matrix_has_no_finding(report: dict[str, Any], name: str) -> None:
    row = report["rows"][name]
    assert row["found"] == {}, "\n".join(row["notes"])
    assert row["rounds"] == ROWS[name].short
    assert row["calls"] > 0


@pytest.mark.parametrize("kind", TAMPERING)
def test_checks_find_rows_that_were_changed_without_the_protocol(report: dict[str, Any], kind: str) -> None:
    assert kind not in report["unseen"]


@pytest.mark.parametrize("name", SABOTAGES)
def test_matrix_has_a_finding_when_a_guard_is_taken_out(report: dict[str, Any], name: str) -> None:
    assert report["controls"][name]["caught"], report["controls"][name]
