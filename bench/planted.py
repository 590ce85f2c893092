"""Three conversations of 48 turns, in three languages, whose facts differ only in a number, a name or a date.

Six turns are about each of eight houses. From the third house on, every sixth turn ends something that was said twelve
turns before: it changes a code, or it answers a question.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from shared.domain.conversation import PastTurn, Said
from shared.domain.summary import Item

TURNS: Final = 48
_QUESTIONS: Final = "open_questions"
_NAMES: Final = ("Anna", "Anne", "Hanna", "Hannes", "Johann", "Johanna", "Ian", "Ina")
# By kind: its list, then for each language its sentence and the words that an equivalent item must have.
_KINDS: Final[Mapping[str, tuple[str, Mapping[str, tuple[str, tuple[str, ...]]]]]] = {
    "code": (
        "key_facts",
        {
            "English": ("The vault code of house {house} is 7{house}.", ("7{house}",)),
            "German": ("Der Tresorcode von Haus {house} ist 7{house}.", ("7{house}",)),
            "Japanese": ("{house}号館の金庫の暗証番号は7{house}です。", ("7{house}",)),
        },
    ),
    "tenant": (
        "key_facts",
        {
            "English": ("{name} moved into house {house} on {day} May.", ("{name} ", "{house}", "May")),
            "German": ("{name} zog am {day}. Mai in Haus {house} ein.", ("{name} ", "{house}", "Mai")),
            "Japanese": ("{name}さんは5月{day}日に{house}号館へ入居しました。", ("{name}さん", "{house}", "5月")),
        },
    ),
    "paint": (
        "decisions",
        {
            "English": ("House {house} is painted on {day} June.", ("{house}", "June")),
            "German": ("Haus {house} wird am {day}. Juni gestrichen.", ("{house}", "Juni")),
            "Japanese": ("{house}号館は6月{day}日に塗装します。", ("{house}", "6月")),
        },
    ),
    "key": (
        _QUESTIONS,
        {
            "English": ("Who has the key of house {house}?", ("{house}", "key")),
            "German": ("Wer hat den Schlüssel von Haus {house}?", ("{house}", "Schlüssel")),
            "Japanese": ("{house}号館の鍵は誰が持っていますか。", ("{house}", "鍵")),
        },
    ),
    "roof": (
        "action_items",
        {
            "English": ("{name} repairs the roof of house {house} by {day} July.", ("{name} ", "{house}", "July")),
            "German": ("{name} repariert bis {day}. Juli das Dach von Haus {house}.", ("{name} ", "{house}", "Juli")),
            "Japanese": ("{name}さんは7月{day}日までに{house}号館の屋根を直します。", ("{name}さん", "{house}", "7月")),
        },
    ),
    "new code": (
        "key_facts",
        {
            "English": ("The vault code of house {house} is 8{house} now.", ("8{house}",)),
            "German": ("Der Tresorcode von Haus {house} ist jetzt 8{house}.", ("8{house}",)),
            "Japanese": ("{house}号館の金庫の暗証番号は8{house}に変わりました。", ("8{house}",)),
        },
    ),
    "answer": (
        "key_facts",
        {
            "English": ("{name} has the key of house {house}.", ("{name} ", "{house}", "key")),
            "German": ("{name} hat den Schlüssel von Haus {house}.", ("{name} ", "{house}", "Schlüssel")),
            "Japanese": ("{house}号館の鍵は{name}さんが持っています。", ("{name}さん", "{house}", "鍵")),
        },
    ),
}
_TALK: Final = {
    "English": ("Let us go on.", "I have written that down."),
    "German": ("Machen wir weiter.", "Das habe ich notiert."),
    "Japanese": ("続けましょう。", "記録しました。"),
}


@dataclass(frozen=True)
class Planted:
    """A fact of turn `turn`, which ends the earlier fact `ends`. Only this fact has the words `marks`."""

    turn: int
    list: str
    text: str
    marks: tuple[str, ...]
    ends: str | None = None

    def found_in(self, item: Item) -> bool:
        """Return whether an item states this fact, in any words."""
        said = unicodedata.normalize("NFKC", item.text).casefold()
        asked = (self.list == _QUESTIONS) == (item.list == _QUESTIONS)
        return asked and all(mark.casefold() in said for mark in self.marks)


@dataclass(frozen=True)
class PlantedConversation:
    name: str
    planted: Sequence[Planted]
    turns: Sequence[PastTurn]


@cache
def conversations() -> tuple[PlantedConversation, ...]:
    """Return the conversations by language."""
    return tuple(_conversation(language) for language in _TALK)


def _conversation(language: str) -> PlantedConversation:
    planted = [each for turn in range(1, TURNS + 1) if (each := _planted(language, turn))]
    said = {each.turn: each.text for each in planted}
    go_on, noted = _TALK[language]
    turns = [PastTurn(said.get(n, go_on), (Said("adviser", "Adviser", noted),), n) for n in range(1, TURNS + 1)]
    return PlantedConversation(language, planted, turns)


def _planted(language: str, turn: int) -> Planted | None:
    house, step = divmod(turn - 1, 6)
    kind = [*list(_KINDS)[:5], "answer" if house % 2 else "new code"][step]
    ends = None
    if step == 5:
        house -= 2
        ends = _said("key" if kind == "answer" else "code", language, house)[0]
    if house < 0:
        return None
    text, marks = _said(kind, language, house)
    return Planted(turn, _KINDS[kind][0], text, marks, ends)


def _said(kind: str, language: str, house: int) -> tuple[str, tuple[str, ...]]:
    """Return the sentence and its marks."""
    values = {"house": f"{house:03}", "name": _NAMES[house % len(_NAMES)], "day": house + 3}
    text, marks = _KINDS[kind][1][language]
    return text.format(**values), tuple(mark.format(**values) for mark in marks)
