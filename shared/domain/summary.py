"""A session's memory: a text, and items that keep their ids from summary to summary."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

LISTS = ("key_facts", "decisions", "open_questions", "action_items")
LETTERS = dict(zip(LISTS, "FDQA", strict=True))


@dataclass(frozen=True, slots=True)
class Item:
    """A short statement and the turn it came from. An id has the same text while the session exists."""

    id: str
    list: str
    text: str
    turn_index: int


@dataclass(frozen=True, slots=True)
class Archived(Item):
    """An item that left memory. `successor` is the id of its replacement, if there is one."""

    reason: str
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The memory after turn `through_turn_index`.

    `items` are in memory, oldest first. `last_numbers` are the highest numbers that the ids of each list ever had.
    `archive` left memory with this summary; a summary loaded for a turn has none."""

    through_turn_index: int
    text: str
    items: tuple[Item, ...] = ()
    last_numbers: Mapping[str, int] = field(default_factory=dict)
    archive: tuple[Archived, ...] = ()


def by_list(items: Iterable[Item]) -> dict[str, list[str]]:
    """Return the texts of `items` by the names of the four lists."""
    texts: dict[str, list[str]] = {name: [] for name in LISTS}
    for item in items:
        texts[item.list].append(item.text)
    return texts


def stored_items(row: Mapping[str, Any]) -> tuple[tuple[Item, ...], dict[str, int]]:
    """Read the items and the last numbers of a stored summary.

    The release before stores only four lists of texts, which get the next free ids in the order of the lists."""
    numbers = {name: (row["last_numbers"] or {}).get(name, 0) for name in LISTS}
    if row["items"] is not None:
        return tuple(Item(i["id"], i["list"], i["text"], i["turn_index"]) for i in row["items"]), numbers
    items = []
    for name in LISTS:
        for text in row[name]:
            numbers[name] += 1
            items.append(Item(f"{LETTERS[name]}{numbers[name]}", name, text, row["through_turn_index"]))
    return tuple(items), numbers
