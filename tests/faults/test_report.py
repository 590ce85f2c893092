"""Tests the page that the fault matrix writes."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.matrix import Tally
from tests.faults.rows import ROWS
from tests.faults.sabotage import SABOTAGES


def test_write_puts_each_table_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "faults.md"
    page.write_text(report.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(report, "PAGE", page)
    rows = [(row, Tally(name, row.at_least, rounds=1200, calls=2400)) for name, row in ROWS.items()]
    rows[0][1].found = Counter({"lost": 2, "double": 1})
    name, sabotage = next(iter(SABOTAGES.items()))
    tally = Tally(name, 1, rounds=3, found=Counter(sabotage.caught_as))
    report.write(report.Run(7, "18.6", 120.0, rows, [(name, tally)], []))
    written = page.read_text(encoding="utf-8")
    first = rows[0][0]
    assert f"| {first.title} | {first.at_least:,} | 1,200 | 2,400 | 0 | 1 double, 2 lost |" in written
    assert f"| {sabotage.title} | {sabotage.row} | yes |" in written
    assert written.count("| 1,200 | 2,400 | 0 | 0 |") == len(rows) - 1
    assert "Seed 7, " in written
    assert "PostgreSQL 18.6." in written
    for section in ("matrix", "controls"):
        assert written.count(f"<!-- {section} -->") == written.count(f"<!-- /{section} -->") == 1
