"""Tests a short slice of the faults of graphs and its negative controls."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rows_graph import CONTROLS, ROWS

pytest.importorskip("langgraph", reason="the extra `graphs` is not installed")

_PATIENCE_S = 600.0


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The findings of the slice. It runs in a process of its own, because the rows fork and this process may have
    threads.
    """
    found = tmp_path_factory.mktemp("faults") / "report.json"
    command = [sys.executable, "-m", "tests.faults", "--graphs", "--short", "--seed", "4", "--json", str(found)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert found.exists(), f"{run.stdout}\n{run.stderr}"
    loaded: dict[str, Any] = json.loads(found.read_text())
    return loaded


def test_graph_rows_have_no_finding_when_a_process_dies_anywhere(report: dict[str, Any]) -> None:
    (row,) = report["rows"].values()
    assert row["found"] == {}, "\n".join(row["notes"])
    assert row["rounds"] == ROWS["graph"].short
    assert row["calls"] > 0


@pytest.mark.parametrize("name", CONTROLS)
def test_graph_rows_have_a_finding_when_a_guard_is_taken_out(report: dict[str, Any], name: str) -> None:
    assert report["controls"][name]["caught"], report["controls"][name]
