"""Reports a soak: on the screen, as JSON for the tests, and as the table of docs/reliability/soak.md."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.soak.row import Outcome, SoakRow

PAGE = Path(__file__).parents[2] / "docs" / "reliability" / "soak.md"
_MARKED = re.compile(r"(?<=<!-- soak -->\n).*?(?=<!-- /soak -->)", re.DOTALL)
_HEAD = "| what | at least | tried | found | figures | run |\n| --- | --- | --- | --- | --- | --- |\n"


@dataclass(frozen=True)
class Tried:
    """A row of the soak and its outcome. `seconds` is how long it took."""

    name: str
    row: SoakRow
    outcome: Outcome
    seed: int
    seconds: float

    def as_text(self) -> str:
        figures = "; ".join(f"{name} {value}" for name, value in self.outcome.figures.items())
        found = "\n".join(f"    {kind}: {text}" for kind, text in self.outcome.found)
        tried = f"{self.row.title}: {self.outcome.tried:,} {self.row.unit} in {self.seconds:.0f} s; {figures}"
        return f"{tried}\n{found or '    nothing found'}\n"

    def as_line(self) -> str:
        """Return the row's line of the table. Its figures are a code span, because they are no sentence."""
        figures = "; ".join(f"{name} {value}" for name, value in self.outcome.figures.items())
        cells = [
            self.row.title,
            f"{self.row.at_least:,} {self.row.unit}",
            f"{self.outcome.tried:,}",
            f"{len(self.outcome.found)}",
            f"`{figures}`" if figures else "",
            f"{datetime.now(UTC):%Y-%m-%d}, seed {self.seed}, {self.seconds / 60:.0f} min",
        ]
        return f"| {' | '.join(cells)} |\n"


def as_json(tried: Sequence[Tried]) -> str:
    rows = {
        one.name: {"tried": one.outcome.tried, "found": list(one.outcome.found), "figures": dict(one.outcome.figures)}
        for one in tried
    }
    return json.dumps(rows, indent=1)


def write(tried: Sequence[Tried], titles: Sequence[str]) -> None:
    """Write the lines of these rows into the page, in the order of all `titles`. The other lines stay."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_MARKED.sub(lambda kept: table(kept[0], tried, titles), page), encoding="utf-8")


def table(kept: str, tried: Sequence[Tried], titles: Sequence[str]) -> str:
    lines = {line.split(" | ")[0].removeprefix("| "): f"{line}\n" for line in kept.splitlines()}
    lines |= {one.row.title: one.as_line() for one in tried}
    return _HEAD + "".join(lines[title] for title in titles if title in lines)
