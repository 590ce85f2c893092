"""Represent the entries of a roster, agents and councils, in a file and at a stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from local.safe_text import visible

Fields = Mapping[str, Any]


class Place(NamedTuple):
    """The group and key of an entry. `group` is `agents` or `councils`."""

    group: str
    key: str

    @property
    def path(self) -> str:
        return f"{self.group}/{self.key}"

    def __str__(self) -> str:
        return f"[{self.group}.{self.key}]"


@dataclass(frozen=True)
class Stored:
    """An entry of a stage at one version. `fields` are the fields of a PUT."""

    fields: Fields
    version: int


@dataclass(frozen=True)
class Stage:
    """The entries of a stage. `caps` has the most output tokens of each alias."""

    entries: Mapping[Place, Stored]
    caps: Mapping[str, int]


# Compared by identity, because a dictionary has no hash.
@dataclass(frozen=True, eq=False)
class Change:
    """An entry to write. `old` is None for a new one. `new` has every field."""

    place: Place
    old: Stored | None
    new: Fields

    @property
    def changed(self) -> list[str]:
        """Return the fields that change. A new entry has none."""
        return [] if self.old is None else [name for name in self.new if self.new[name] != self.old.fields[name]]


@dataclass(frozen=True)
class Plan:
    """The changes in the order of their writes. `unchanged` is the number of the file's entries without a change."""

    changes: tuple[Change, ...]
    unchanged: int


class RosterError(Exception):
    """The roster cannot be applied. Each of `lines` is for the user."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = tuple(map(visible, lines))
