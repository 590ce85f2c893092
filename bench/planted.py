"""The conversations of the retention gate: 48 turns each, some of which say what must not be forgotten.

Each file of `bench/conversations` has its planted sentences, with the turn in which they are said, and small talk for
the turns between them. What is planted may end what was planted before: a newer value, an answer, a finished task.
"""

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.domain.conversation import PastTurn, Said

TURNS = 48
_FOLDER = Path(__file__).with_name("conversations")


@dataclass(frozen=True)
class Planted:
    """`wordings` are ways to put it down as an item of `list`; `find` are patterns that an item must match, each of
    them, to say it in other words. `ends` are the ids of what no longer holds from here on; where it is `indirect`,
    no word in it says so."""

    id: str
    turn: int
    list: str
    said: str
    by_user: bool
    wordings: tuple[str, ...]
    find: tuple[str, ...]
    ends: tuple[str, ...] = ()
    indirect: bool = False

    def found_in(self, item: str) -> bool:
        return all(re.search(pattern, item, re.IGNORECASE) for pattern in self.find)


@dataclass(frozen=True)
class PlantedConversation:
    name: str
    planted: Sequence[Planted]
    turns: Sequence[PastTurn]


@cache
def conversations() -> tuple[PlantedConversation, ...]:
    """All of them, by name."""
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.toml")))


def _read(path: Path) -> PlantedConversation:
    document = tomllib.loads(path.read_text())
    planted = tuple(
        Planted(
            id=entry["id"],
            turn=entry["turn"],
            list=entry["list"],
            said=entry.get("said") or entry["reply"],
            by_user="said" in entry,
            wordings=tuple(entry["wordings"]),
            find=tuple(entry["find"]),
            ends=tuple(entry.get("ends", ())),
            indirect=entry.get("indirect", False),
        )
        for entry in document["planted"]
    )
    # Always the same talk: what is measured is the memory.
    source = random.Random(path.stem)
    turns = tuple(_turn(index, planted, document, source) for index in range(1, TURNS + 1))
    return PlantedConversation(path.stem, planted, turns)


def _turn(index: int, planted: Sequence[Planted], document: dict[str, list[str]], source: random.Random) -> PastTurn:
    asked = [each.said for each in planted if each.turn == index and each.by_user]
    answered = [each.said for each in planted if each.turn == index and not each.by_user]
    message = " ".join(asked) or source.choice(document["users"])
    replies = [Said("adviser", "Adviser", " ".join([*answered, source.choice(document["replies"])]))]
    if source.random() < 0.3:
        replies.append(Said("critic", "Critic", source.choice(document["replies"])))
    return PastTurn(message, tuple(replies), index)
