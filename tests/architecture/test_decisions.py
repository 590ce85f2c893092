"""Checks that each decision record is short, has its parts, and is in the list."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
PARTS = ("Context", "Decision", "Consequences")
MOST_LINES = 9


def parts(record: Path) -> dict[str, str]:
    """The paragraphs of a record by their bold first word."""
    paragraphs = record.read_text(encoding="utf-8").split("\n\n")
    return {found[1]: paragraph for paragraph in paragraphs if (found := re.match(r"\*\*(\w+)\.\*\* ", paragraph))}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_has_its_parts_each_under_ten_lines(record: Path) -> None:
    found = parts(record)
    superseded = "**Superseded by [" in record.read_text(encoding="utf-8")
    assert tuple(found) == (("Decision",) if superseded else PARTS)
    assert all(len(paragraph.splitlines()) <= MOST_LINES for paragraph in found.values())


def test_list_has_every_record_with_its_title() -> None:
    listed = re.findall(r"^- \[(\d{4})\]\((\S+)\) (.+?)(?: \(superseded by \d{4}\))?$", _list(), re.MULTILINE)
    titles = [record.read_text(encoding="utf-8").splitlines()[0] for record in RECORDS]
    assert [f"# {number} {title}" for number, _, title in listed] == titles
    assert [name for _, name, _ in listed] == [record.name for record in RECORDS]


def _list() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8")
