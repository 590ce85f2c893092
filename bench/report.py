"""Prints tables of figures and writes them into the pages about performance, between the marks of their section."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_DOCS: Final = Path(__file__).parents[1] / "docs"
PAGES: Final = (_DOCS / "performance.md", _DOCS / "performance" / "comparisons.md")


def write(
    section: str, columns: Sequence[str], rows: Sequence[Sequence[str]], what: str, *, only_print: bool = False
) -> None:
    """Print the table with its date and cores, and put it into its section of one of the pages.

    Raises ValueError if no page has the section, or a page has it twice.
    """
    text = f"{table(columns, rows)}\n\n{what}; {_where()}."
    print(text)
    if not only_print:
        page = page_of(section)
        page.write_text(put(page.read_text(encoding="utf-8"), section, text), encoding="utf-8")


def page_of(section: str) -> Path:
    """The page that has the marks of a section. Raises ValueError if there is none."""
    for page in PAGES:
        if f"<!-- {section} -->" in page.read_text(encoding="utf-8"):
            return page
    raise ValueError(f"No page has a section {section}.")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (columns, ruler, *rows)
    ]
    return "\n".join(lines)


def put(page: str, section: str, text: str) -> str:
    """Return the page with this text between the marks of its section. Raises ValueError without these marks."""
    marked = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    written, number = marked.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if number != 1:
        raise ValueError(f"The page has {number} sections {section}.")
    return written


def _where() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores()} cores"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
