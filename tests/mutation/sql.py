"""The mutants of a `.sql` file. A mutant drops a part, a condition, a lock or an order, or changes a comparison."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

from shared.db.statement import load
from tests.mutation.edits import ROOT, Edit
from tests.support import sql_edits

_SURVIVORS = Path(__file__).with_name("survivors.toml")
_STEPS = (
    "accept open intents share_limit outcome record settle add_moves reconcile release claim give_up publish"
    " delete_session release_leftover_holds lock_tenant put_agent delete_agent put_council add_roster take_wait"
    " end_wait set_limit set_cap"
)
SQL = tuple(f"shared/db/sql/{name}.sql" for name in _STEPS.split())
# An include between two parts ends the first one. An include within a part is a piece of its SQL.
_PART = re.compile(
    r"^-- part (\w+)(?: \? \w+)?$.*?(?=^-- part \w+(?: \? \w+)?$|(?<=;\n\n)-- include |\Z)", re.MULTILINE | re.DOTALL
)
# The name for the whole text of a file that has no part.
_PIECE = "piece"
_COMMENT = re.compile(r"--[^\n]*")
# A condition ends where the next one begins, or its clause.
_CONDITION = r"(?:(?!\s+(?:AND|OR|ORDER|GROUP|RETURNING|FOR|THEN|--)(?:\b|\s)|[;\n]).)+"
_EDITS = (
    ("condition", re.compile(rf"\s+AND {_CONDITION}"), ""),
    ("condition", re.compile(rf"(?<=WHERE ){_CONDITION} AND "), ""),
    ("condition", re.compile(rf"WHERE {_CONDITION}(?=;|\n\S|\n\s*(?:RETURNING|GROUP|ORDER|ON))"), ""),
    ("lock", re.compile(r"\s+FOR (?:NO KEY UPDATE|UPDATE|SHARE)\b"), ""),
    ("compare", re.compile(r" <= "), " < "),
    ("compare", re.compile(r" >= "), " > "),
    ("compare", re.compile(r" < "), " <= "),
    ("order", re.compile(r"ORDER BY [^\n;]+"), ""),
    ("greatest", re.compile(r"\bgreatest\("), "least("),
)


def mutants_of(file: str) -> list[Edit]:
    """The mutants of a file, given by its path from the root."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found: list[Edit] = []
    names = Counter[str]()
    for part, start, end, operator, after in _edits(text):
        before = " ".join(text[start:end].split()) if operator != "part" else part
        name = f"{file} {part}: {operator}: {before} -> {after.strip() or 'nothing'}"
        names[name] += 1
        numbered = f"{name} #{names[name]}" if names[name] > 1 else name
        found.append(Edit(numbered, file, text[:start] + after + text[end:]))
    return found


def _edits(text: str) -> Iterator[tuple[str, int, int, str, str]]:
    """Yield the part, the start and the end of an edit, its operator, and the new text."""
    parts = [(part[1], *part.span()) for part in _PART.finditer(text)]
    for name, start, end in parts:
        yield name, start, end, "part", ""
        yield from _edits_within(text, name, start, end)
    if not parts:
        yield from _edits_within(text, _PIECE, 0, len(text))


def _edits_within(text: str, name: str, start: int, end: int) -> Iterator[tuple[str, int, int, str, str]]:
    comments = [found.span() for found in _COMMENT.finditer(text, start, end)]
    for operator, pattern, after in _EDITS:
        for found in pattern.finditer(text, start, end):
            if not any(begins <= found.start() < stops for begins, stops in comments):
                yield name, found.start(), _end(text, found.start(), found.end()), operator, after


def _end(text: str, start: int, end: int) -> int:
    """Return the end of an edit that leaves the parentheses balanced. It may be after or before `end`."""
    depth = 0
    for at, character in enumerate(text[start:], start=start):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return at
        if at >= end - 1 and depth == 0:
            rest = re.compile(_CONDITION).match(text, at + 1) if at >= end else None
            return rest.end() if rest else at + 1
    return end


def changed_by(mutant: Edit) -> frozenset[str]:
    """The statements that the mutant changes, by their files' names: its own, and those that include it."""
    edited = {PurePath(mutant.file).stem: mutant.text}
    names = set(sql_edits.files().values())
    return frozenset(name for name in names if sql_edits.loaded(name, edited).parts != load(name).parts)


def explained() -> dict[str, str]:
    """The reason of each mutant that no test can notice, by its name."""
    groups = tomllib.loads(_SURVIVORS.read_text(encoding="utf-8"))["group"]
    return {name: group["why"] for group in groups for name in group["mutants"]}
