"""Checks that each bench finds the section of its table in one page."""

import re
from pathlib import Path

import pytest

from bench import report

ROOT = Path(__file__).parents[2]
SECTIONS = sorted(
    name
    for path in (ROOT / "bench").rglob("*.py")
    for name in re.findall(r'report\.write\(\s*"([\w ]+)"', path.read_text(encoding="utf-8"))
)


def test_sections_of_the_pages_are_those_of_the_benches() -> None:
    written = [name for page in report.PAGES for name in re.findall(r"<!-- ([\w ]+) -->", page.read_text())]
    assert sorted(written) == SECTIONS


@pytest.mark.parametrize("section", SECTIONS)
def test_table_is_put_between_the_marks_of_its_section(section: str) -> None:
    page = report.page_of(section).read_text()
    written = report.put(page, section, "figures")
    assert f"<!-- {section} -->\nfigures\n<!-- /{section} -->" in written
    assert len(written) < len(page)


def test_section_without_a_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="No page has a section none"):
        report.page_of("none")
