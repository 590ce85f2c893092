"""Carry items from summary to summary by their ids.

An item leaves memory only if the model names its id, or if there is no room and it is the oldest. Both put it into the
archive.
"""

import unicodedata
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final

from shared.domain.summary import LETTERS, LISTS, Archived, Item, Summary
from shared.summary.answer import Changes, Closing, read_id, short

UNKNOWN_IDS: Final = "unknown_ids"
COPIED_LIST: Final = "copied_list"
_LISTS_BY_LETTER: Final = {letter: name for name, letter in LETTERS.items()}
# A model that closes more than this share of a list, of at least these items, has copied the list.
_COPIED_ITEMS, _COPIED_SHARE = 5, 0.8
# Marks after NFKC, which maps full-width marks to these.
_CLOSING_MARKS: Final = " .,;:!?。、؟؛،۔।"
_MOST_CHARACTERS, _CHARACTERS_PER_TOKEN = 6000, 3


@dataclass(frozen=True, slots=True)
class Limits:
    """The most `items` in each list, and the most `characters` in all four together; the same limit again holds for the
    text."""

    items: int = 40
    characters: int = _MOST_CHARACTERS

    @classmethod
    def within(cls, context_window: int) -> "Limits":
        """Return limits that leave three quarters of a window, in tokens, to everything else."""
        return cls(characters=min(_MOST_CHARACTERS, context_window * _CHARACTERS_PER_TOKEN // 4))


@dataclass(frozen=True, slots=True)
class Merged:
    """The new memory. `ignored` holds the reasons why some changes were not made."""

    items: tuple[Item, ...]
    last_numbers: dict[str, int]
    archive: tuple[Archived, ...]
    ignored: tuple[str, ...] = ()


def merge(previous: Summary, changes: Changes, turn_index: int, limits: Limits) -> Merged:
    """Apply a model's `changes` at the end of turn `turn_index` to the items of `previous`."""
    memory = _Memory(previous, turn_index)
    memory.close(changes)
    for replacement in changes.replace:
        memory.replace(read_id(replacement.id), replacement.text)
    for name in LISTS:
        for text in getattr(changes.add, name):
            memory.add(name, text)
    memory.shrink(limits)
    return Merged(tuple(memory.held.values()), memory.numbers, tuple(memory.archive), tuple(sorted(memory.ignored)))


def same(text: str) -> str:
    """Return a form that is equal for two texts that repeat each other."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).rstrip(_CLOSING_MARKS)


@dataclass
class _Memory:
    """Items by id while they are changed, oldest first."""

    previous: Summary
    turn_index: int
    held: dict[str, Item] = field(init=False)
    numbers: dict[str, int] = field(init=False)
    archive: list[Archived] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.held = {item.id: item for item in self.previous.items}
        self.numbers = dict.fromkeys(LISTS, 0) | dict(self.previous.last_numbers)
        self._known = frozenset(self.held)
        self._ids = {(item.list, same(item.text)): item.id for item in self.previous.items}

    def close(self, changes: Changes) -> None:
        """Archive the items that the model closes, unless it closes nearly all. A replaced item is not also closed."""
        replaced = {read_id(replacement.id) for replacement in changes.replace}
        closings = {read_id(closing.id): closing for closing in changes.close}
        self._report(closings)
        known = self._known & closings.keys()
        if len(self._known) >= _COPIED_ITEMS and len(known) > _COPIED_SHARE * len(self._known):
            self.ignored.add(COPIED_LIST)
            return
        for id_, closing in closings.items():
            if id_ in known and id_ not in replaced:
                self._close(id_, closing)

    def _close(self, id_: str, closing: Closing) -> None:
        successor = read_id(closing.of or "") if closing.reason == "duplicate" else None
        if successor is not None and (successor == id_ or successor not in self.held):
            # Two items that are called duplicates of each other must not both leave.
            self.ignored.add(UNKNOWN_IDS)
        else:
            self._archive(id_, closing.reason, successor)

    def replace(self, id_: str, text: str) -> None:
        """Replace an old item by a new one. With an unknown id, keep the text as a new item."""
        self._report([id_])
        successor = self.add(_LISTS_BY_LETTER[id_[0]], text) if id_ else None
        if successor and successor != id_ and id_ in self.held:
            self._archive(id_, "replaced", successor)

    def add(self, name: str, text: str) -> str | None:
        """Add an item, and return its id, or the id of the item that it repeats. A blank text has none."""
        text = short(text)
        key = (name, same(text))
        if not key[1]:
            return None
        if self._ids.get(key) not in self.held:
            self.numbers[name] += 1
            item = Item(f"{LETTERS[name]}{self.numbers[name]}", name, text, self.turn_index)
            self.held[item.id] = item
            self._ids[key] = item.id
        return self._ids[key]

    def shrink(self, limits: Limits) -> None:
        """Archive the oldest items of each list that is too long, and then of the largest list."""
        lists = {name: deque(item for item in self.held.values() if item.list == name) for name in LISTS}
        for items in lists.values():
            while len(items) > limits.items:
                self._archive(items.popleft().id, "no_room")
        sizes = {name: sum(len(item.text) for item in items) for name, items in lists.items()}
        while sum(sizes.values()) > limits.characters:
            name = max(sizes, key=lambda name: sizes[name])
            oldest = lists[name].popleft()
            sizes[name] -= len(oldest.text)
            self._archive(oldest.id, "no_room")

    def _archive(self, id_: str, reason: str, successor: str | None = None) -> None:
        self.archive.append(Archived(**asdict(self.held.pop(id_)), reason=reason, successor=successor))

    def _report(self, ids: Iterable[str]) -> None:
        if not self._known.issuperset(ids):
            self.ignored.add(UNKNOWN_IDS)
