"""Find tags: @key or @Name in the user's message.

A tag has no word and no @ before it, so an e-mail address is not a tag. Text inside backticks is not a tag. In scripts
without spaces between words, letters may come directly before and after a tag. Reading takes time linear in the
message.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from shared.domain.agent import Agent

_FENCE = re.compile(r"`+")
# A pattern that ignores case treats these four as equal, but a reader does not.
_IS = {"i": "(?-i:[iI])", "I": "(?-i:[iI])", "\u0131": "(?-i:\u0131)", "\u0130": "(?-i:\u0130)"}
# Han, kana, Thai, Lao, Burmese and Khmer: scripts without spaces between words.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_ENDS_SPACELESS = re.compile(f"[{SPACELESS}]$")


@dataclass(frozen=True, slots=True)
class Tags:
    """Each agent and each unknown tag once, in order of appearance. Unknown tags are as typed, without the @."""

    agent_keys: tuple[str, ...]
    unknown: tuple[str, ...]


def parse_tags(message: str, roster: Mapping[str, Agent]) -> Tags:
    """Find the tags of `roster`'s agents, by key or by name, in any letter case."""
    if "@" not in message and "＠" not in message:
        return Tags((), ())
    text = _without_code(message)
    called = _called(roster.values())
    keys: dict[str, None] = {}
    unknown: dict[str, str] = {}
    for match in _pattern(text, called).finditer(text):
        if match.lastindex is not None:
            keys.setdefault(called[match.lastindex - 1][1])
        else:
            typed = match[0][1:]
            unknown.setdefault(typed.casefold(), typed)
    return Tags(tuple(keys), tuple(unknown.values()))


def _pattern(text: str, called: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    r"""Return the pattern of tags in `text`: one group for each way to call an agent, none for an unknown tag.

    `re` counts no combining mark as a part of a word, so those that occur are added to \w. A name ends only where the
    word ends: "@writers" and "@writer-in-chief" are not "@writer". After a letter of a spaceless script, a tag must not
    continue like an address."""
    marks = "" if text.isascii() else "".join(c for c in set(text) if unicodedata.category(c).startswith("M"))
    word = rf"[\w{marks}]"
    known = "|".join(f"({name_pattern(name)}{_end(name, word, marks)})" for name, _ in called) or "(?!)"
    begins = rf"(?:(?<![\w@＠{marks}])[@＠]|(?<=[{SPACELESS}])[@＠](?!{word}++(?:-{word}++)*+\.{word}))"
    return re.compile(rf"{begins}(?:{known}|{word}+(?:-{word}+)*)", re.IGNORECASE)


def _end(name: str, word: str, marks: str) -> str:
    """Return the pattern of a name's end. Letters of spaceless scripts may follow a spaceless name."""
    more = rf"(?![{SPACELESS}]){word}{f'|[{marks}]' if marks else ''}" if _ENDS_SPACELESS.search(name) else word
    return rf"(?!{more}|-{word})"


@lru_cache(maxsize=1024)
def name_pattern(name: str) -> str:
    """Return a pattern of a name in any letter case, with accents composed or apart."""
    return "".join(map(_letter, unicodedata.normalize("NFC", name)))


def _called(agents: Iterable[Agent]) -> list[tuple[str, str]]:
    """Return every way to call an agent with its key, longest first. A key wins over another agent's name. Of two
    agents with one name, the first in the roster wins."""
    agents = list(agents)
    ways = [*((agent.key, agent.key) for agent in agents), *((agent.name, agent.key) for agent in agents)]
    return sorted(ways, key=lambda way: len(way[0]), reverse=True)


def _letter(letter: str) -> str:
    """Return a pattern of a letter in either case and any form. Some forms have more letters: "ß" and "SS"."""
    forms = [_IS.get(letter, re.escape(letter))]
    folded, apart = letter.casefold(), unicodedata.normalize("NFD", letter)
    if len(folded) > 1:
        forms.append("".join(_IS.get(part, re.escape(part)) for part in folded))
    if apart != letter:
        forms.append("".join(_IS.get(part, re.escape(part)) for part in apart))
    return forms[0] if len(forms) == 1 else f"(?:{'|'.join(forms)})"


def _without_code(message: str) -> str:
    """Blank everything between two equally long runs of backticks, as Markdown reads them."""
    fences = list(_FENCE.finditer(message))
    by_length: dict[int, list[int]] = {}
    for index in range(len(fences) - 1, -1, -1):
        by_length.setdefault(len(fences[index][0]), []).append(index)
    kept: list[str] = []
    position = index = 0
    while index < len(fences):
        same = by_length[len(fences[index][0])]
        while same and same[-1] <= index:
            same.pop()
        if not same:
            index += 1
            continue
        closing = same[-1]
        kept += [message[position : fences[index].start()], " "]
        position = fences[closing].end()
        index = closing + 1
    return "".join(kept) + message[position:]
