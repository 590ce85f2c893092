"""A short slice of each row, in a process of its own. `make soak` runs all of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.report import Tried, table
from tests.soak.row import Amount, Outcome, SoakRow
from tests.soak.rows import ROWS

# The same choices at each run of the tests; those of `make soak` are new ones each time.
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


def _nothing(amount: Amount) -> Outcome:
    return Outcome(amount.wanted, [])


def test_a_row_that_was_not_run_keeps_its_line_and_its_place() -> None:
    first, second = SoakRow("one", "runs", 5, 1, _nothing), SoakRow("two", "minutes", 5, 1, _nothing)
    titles = [first.title, second.title]
    once = table("", [Tried("b", second, Outcome(5, [], {"errors": "0"}), 7, 60.0)], titles)
    again = table(once, [Tried("a", first, Outcome(6, [("lost", "a call")]), 8, 120.0)], titles)
    lines = again.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| one", "| two"]
    assert lines[3] == once.splitlines()[2]
    assert "| 6 | 1 |" in lines[2]


def test_write_keeps_the_lines_of_rows_that_were_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "soak.md"
    before = report.PAGE.read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    monkeypatch.setattr(report, "PAGE", page)
    titles = [row.title for row in ROWS.values()]
    name, row = next(iter(ROWS.items()))
    report.write([Tried(name, row, Outcome(5, [], {"runs": "5"}), 7, 60.0)], titles)
    changed = [line for line in page.read_text(encoding="utf-8").splitlines() if line not in before.splitlines()]
    assert [line.split(" | ")[2:5] for line in changed] == [["5", "0", "`runs 5`"]]
    assert len(page.read_text(encoding="utf-8").splitlines()) == len(before.splitlines())
