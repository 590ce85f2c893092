"""Format a plan as a diff. Texts of the stage are escaped, so that they cannot steer the terminal."""

import difflib
from collections.abc import Iterator
from typing import Final

from local.roster import toml
from local.roster.entries import Change, Plan
from local.safe_text import visible

# The most characters of a changed text on one line. Longer texts get a unified diff.
_ONE_LINE: Final = 60


def diff_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines: + for a new entry, ~ for a changed entry, = for the number of unchanged entries."""
    for change in plan.changes:
        yield from map(visible, _new(change) if change.old is None else _changed(change))
    yield f"= {plan.unchanged} unchanged"


def counts(plan: Plan) -> str:
    new = sum(change.old is None for change in plan.changes)
    return f"{new} new, {len(plan.changes) - new} changed, {plan.unchanged} unchanged"


def _new(change: Change) -> Iterator[str]:
    yield f"+ {change.place}"
    for name, value in change.new.items():
        if value is not None:
            yield from (f"    {line}" for line in f"{name} = {toml.written(value)}".split("\n"))


def _changed(change: Change) -> Iterator[str]:
    assert change.old is not None
    yield f"~ {change.place}"
    for name in change.changed:
        old, new = change.old.fields[name], change.new[name]
        if isinstance(old, str) and isinstance(new, str) and _is_long(old, new):
            yield f"    {name}:"
            lines = difflib.unified_diff(old.split("\n"), new.split("\n"), "stage", "file", lineterm="")
            yield from (f"      {line}" for line in lines)
        else:
            yield f"    {name}: {_value(old)} -> {_value(new)}"


def _is_long(*texts: str) -> bool:
    return any("\n" in text or len(text) > _ONE_LINE for text in texts)


def _value(value: object) -> str:
    return "none" if value is None else toml.on_one_line(value)
