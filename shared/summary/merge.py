"""Carrying a structure forward. Models forget, repeat and contradict themselves; what was once extracted stays.

An item leaves its list for three reasons only, and then it is archived: a newer one says otherwise, it is a question
that has been answered, or its list is over the cap and it is the oldest. A newer wording of the same thing replaces
the older one in its place.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.domain.summary import LISTS, Structure

_WORD = re.compile(r"[^\W_]+")
# Two statements that share so much are one, said twice.
SAME = 0.8
# Two statements that begin alike and differ by little are about one thing; the newer one holds.
ALIKE = 0.7
_SMALL_WORDS = frozenset(
    "a an and are at be by can could did do does for has have how in is it of on or should the to was we were what "  # noqa: SIM905
    "when where which who whom whose why will with would you".split()
)
_ANSWERING = ("key_facts", "decisions")


@dataclass(frozen=True, slots=True)
class Merged:
    structure: Structure
    archived: Structure


def merge(previous: Structure, extracted: Structure, outdated: Iterable[str], max_items: int) -> Merged:
    """`previous` with what was `extracted` now; `outdated` are items of it that the model says no longer hold."""
    retired = [_words(item) for item in outdated]
    answers = [_content(item) for name in _ANSWERING for item in getattr(extracted, name)]
    structure, archived = Structure(), Structure()
    for name in LISTS:
        kept, gone = _carry(getattr(previous, name), retired)
        if name == "open_questions":
            answered = [item for item in kept if _answered(_content(item), answers)]
            kept, gone = [item for item in kept if item not in answered], gone + answered
        for item in getattr(extracted, name):
            gone += _put(kept, " ".join(item.split()))
        overflow = max(0, len(kept) - max_items)
        structure = structure.having(name, tuple(kept[overflow:]))
        archived = archived.having(name, tuple(gone + kept[:overflow]))
    return Merged(structure, archived)


def _carry(items: Iterable[str], retired: list[list[str]]) -> tuple[list[str], list[str]]:
    kept: list[str] = []
    gone: list[str] = []
    for item in items:
        words = _words(item)
        (gone if any(_same(words, other) for other in retired) else kept).append(item)
    return kept, gone


def _put(items: list[str], new: str) -> list[str]:
    """Add `new` to `items`, in the place of what it repeats or supersedes; return what it superseded."""
    words = _words(new)
    if not words:
        return []
    for position, item in enumerate(items):
        other = _words(item)
        if words == other:
            return []
        if _same(words, other) or _says_otherwise(words, other):
            items[position] = new
            # Only a change of content is worth keeping twice.
            return [item] if _telling(words, other) else []
    items.append(new)
    return []


def _same(words: list[str], other: list[str]) -> bool:
    shared, together = set(words) & set(other), set(words) | set(other)
    return bool(together) and len(shared) / len(together) >= SAME


def _says_otherwise(words: list[str], other: list[str]) -> bool:
    """Whether two statements begin, and perhaps end, alike and differ in a value of a word or three."""
    longest = max(len(words), len(other))
    start = _common(words, other)
    end = _common(words[start:][::-1], other[start:][::-1])
    values = words[start : len(words) - end], other[start : len(other) - end]
    numbers = all(any(character.isdigit() for word in value for character in word) for value in values)
    enough = start >= 2 and (start + end) / longest >= ALIKE
    return all(len(value) <= 3 for value in values) and (
        enough or (numbers and start >= 1 and start + end >= longest / 2)
    )


def _common(words: list[str], other: list[str]) -> int:
    length = 0
    for word, match in zip(words, other, strict=False):
        if word != match:
            break
        length += 1
    return length


def _telling(words: list[str], other: list[str]) -> set[str]:
    """The words by which two statements differ, small words left out, but for negations."""
    return (set(words) ^ set(other)) - _SMALL_WORDS


def _answered(question: set[str], answers: list[set[str]]) -> bool:
    return len(question) >= 2 and any(question <= answer for answer in answers)


def _words(item: str) -> list[str]:
    return _WORD.findall(item.casefold())


def _content(item: str) -> set[str]:
    return set(_words(item)) - _SMALL_WORDS
