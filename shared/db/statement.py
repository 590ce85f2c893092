"""Load statements from `.sql` files. A statement is one transaction and one round trip.

A file holds the parts of a statement, in the order in which Postgres runs them:

    -- part NAME             begins a part
    -- part NAME ? PARAM     begins a part that is left out if the parameter is None
    -- include FILE          is replaced by `FILE.sql`
    :name                    is a parameter; `::type`, literals and comments are left alone

Each part sees the changes of the parts before it, and those that others committed before it begins.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Params = Mapping[str, object]
Sent = tuple[str, Sequence[object]]

_FILES = Path(__file__).with_name("sql")
_PART = re.compile(r"^-- part (\w+)(?: \? (\w+))?$", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)
_TOKEN = re.compile(r"'(?:[^']|'')*'|\s*--[^\n]*|::|:(\w+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One SQL command. `params` are its parameters by number. It is sent unless the parameter `needs` is None."""

    name: str
    text: str
    params: tuple[str, ...]
    needs: str | None = None


class Statement:
    """One or more parts that run as one transaction and one round trip."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def sent(self, params: Params) -> list[Sent]:
        """Return the parts to send, with their values. Raises KeyError for a missing parameter."""
        return [
            (part.text, [params[name] for name in part.params])
            for part in self.parts
            if part.needs is None or params[part.needs] is not None
        ]

    def rows(self, answers: Sequence[list[Row]]) -> list[Row]:
        """Return the rows of the only part. Of several parts, return one row with the columns of each part's first
        row."""
        if len(self.parts) == 1:
            return answers[0]
        return [{name: value for rows in answers if rows for name, value in rows[0].items()}]


def read_sql(name: str) -> str:
    return (_FILES / f"{name}.sql").read_text("utf-8")


def load(name: str, read: Callable[[str], str] = read_sql) -> Statement:
    _, *pieces = _PART.split(_included(name, read))
    return Statement(*(_part(*pieces[at : at + 3]) for at in range(0, len(pieces), 3)))


def _included(name: str, read: Callable[[str], str]) -> str:
    return _INCLUDE.sub(lambda found: _included(found[1], read), read(name))


def _part(name: str, needs: str | None, text: str) -> Part:
    params: dict[str, int] = {}

    def numbered(token: re.Match[str]) -> str:
        if token[1]:
            return f"${params.setdefault(token[1], len(params) + 1)}"
        return "" if token[0].lstrip().startswith("--") else token[0]

    text = _TOKEN.sub(numbered, text).strip().removesuffix(";")
    return Part(name, text, tuple(params), needs)
