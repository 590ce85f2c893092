"""The mutants of a `.sql` file: a part, a condition or a lock left out, a comparison that is another one."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator

from tests.mutation.mutants import ROOT, Mutant, mutants_of

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
# The name of what a file without a part says.
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


def every_mutant_of(file: str) -> list[Mutant]:
    """The mutants of a `.py` or a `.sql` file of the project, given by its path from the root."""
    return sql_mutants_of(file) if file.endswith(".sql") else mutants_of(file)


def sql_mutants_of(file: str) -> list[Mutant]:
    """Those of a file of the project, given by its path from the root."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found: list[Mutant] = []
    names = Counter[str]()
    for part, start, end, operator, after in _edits(text):
        before = " ".join(text[start:end].split())
        name = f"{file} {part}: {operator}: {before if operator != 'part' else part} -> {after.strip() or 'nothing'}"
        names[name] += 1
        numbered = f"{name} #{names[name]}" if names[name] > 1 else name
        source = text[:start] + after + text[end:]
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        found.append(Mutant(file, part, numbered, (), digest, source.encode(), in_function=True))
    return found


def _edits(text: str) -> Iterator[tuple[str, int, int, str, str]]:
    """Part, where its edit starts and ends, operator, and what comes there."""
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
    """Where an edit ends that has each parenthesis with its other one: later than `end`, or earlier."""
    depth = 0
    for at, character in enumerate(text[start:], start=start):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return at
        if at >= end - 1 and depth == 0:
            rest = re.compile(_CONDITION).match(text, at + 1) if at >= end else None
            return rest.end() if rest else at + 1
    return end
