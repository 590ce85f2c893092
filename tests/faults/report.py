"""Reports a run of the fault matrix: on the screen, as JSON, and as the tables of docs/reliability/faults.md."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.matrix import FaultRow, Tally
from tests.faults.sabotage import find

PAGE = Path(__file__).parents[2] / "docs" / "reliability" / "faults.md"


@dataclass(frozen=True)
class Run:
    """The tallies of all rows and sabotages, and the kinds of tampering that no check noticed."""

    seed: int
    server_version: str
    seconds: float
    rows: Sequence[tuple[FaultRow, Tally]]
    controls: Sequence[tuple[str, Tally]]
    unseen: Sequence[str]

    @property
    def failed(self) -> bool:
        uncaught = [name for name, tally in self.controls if not caught(name, tally)]
        return bool(uncaught or self.unseen) or any(tally.found for _, tally in self.rows)


def caught(name: str, tally: Tally) -> bool:
    return bool(find(name).caught_as & tally.found.keys())


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_row(title: str, tally: Tally) -> None:
    figures = f"{tally.rounds} rounds, {tally.calls} calls, {tally.settled} settled, {tally.seconds:.0f} s"
    say(f"{title}: {figures}: {dict(tally.found) or 'nothing found'}; {dict(tally.kinds)}; {dict(tally.answers)}")
    for note in tally.notes:
        say(f"    {note}")


def as_json(run: Run) -> str:
    def told(tally: Tally) -> dict[str, Any]:
        return {"rounds": tally.rounds, "calls": tally.calls, "found": tally.found, "notes": tally.notes}

    rows = {tally.name: told(tally) for _, tally in run.rows}
    controls = {name: told(tally) | {"caught": caught(name, tally)} for name, tally in run.controls}
    return json.dumps({"seed": run.seed, "rows": rows, "controls": controls, "unseen": run.unseen}, indent=1)


def write(run: Run) -> None:
    """Write the tables into the page, between the marks of each section."""
    page = PAGE.read_text(encoding="utf-8")
    for section, table in (("matrix", _matrix(run)), ("controls", _controls(run))):
        marked = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
        before, after = marked.split(page)[0::3]
        page = f"{before}<!-- {section} -->\n{table}\n<!-- /{section} -->{after}"
    PAGE.write_text(page, encoding="utf-8")


def _matrix(run: Run) -> str:
    lines = [["fault", "at least", "tried", "provider calls", "from suspense", "found"]]
    for row, tally in run.rows:
        numbers = (row.at_least, tally.rounds, tally.calls, tally.settled)
        found = ", ".join(f"{times:,} {finding}" for finding, times in sorted(tally.found.items()))
        lines.append([row.title, *(f"{number:,}" for number in numbers), found or "0"])
    return f"{_table(lines)}\n\n{_where(run)}"


def _controls(run: Run) -> str:
    lines = [["taken out", "in the row", "caught", "as", "after rounds"]]
    for name, tally in run.controls:
        sabotage = find(name)
        found = ", ".join(sorted(sabotage.caught_as & tally.found.keys())) or "-"
        yes = "yes" if caught(name, tally) else "NO"
        lines.append([sabotage.title, sabotage.row, yes, found, str(tally.rounds)])
    return _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---"] * len(lines[0])
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], ruler, *lines[1:]))


def _where(run: Run) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"Seed {run.seed}, {datetime.now(UTC):%Y-%m-%d}, {run.seconds / 60:.0f} minutes on {cores} cores; "
        f"PostgreSQL {run.server_version}."
    )
