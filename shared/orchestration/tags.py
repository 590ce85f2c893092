"""Tags: @key or @Name in the user's message, and nowhere else.

A tag begins where no word and no @ comes before it, so that an e-mail address is none, and nothing inside backticks
is one. Reading takes time linear in the message, whatever is in it.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.domain.agent import Agent

_FENCE = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Tags:
    """Each agent and each unknown tag once, in order of appearance; unknown ones as typed, without the @."""

    agent_keys: tuple[str, ...]
    unknown: tuple[str, ...]


def parse_tags(message: str, roster: Mapping[str, Agent]) -> Tags:
    """Find the tags of `roster`'s agents, by key or by name, in any case."""
    text = _without_code(message)
    names = _names(roster.values())
    pattern = _pattern(text, roster.values())
    keys: dict[str, None] = {}
    unknown: dict[str, str] = {}
    for match in pattern.finditer(text):
        key = names.get((match["known"] or "").casefold())
        if key is not None:
            keys.setdefault(key)
        else:
            typed = match[0][1:]
            unknown.setdefault(typed.casefold(), typed)
    return Tags(tuple(keys), tuple(unknown.values()))


def _pattern(text: str, agents: Iterable[Agent]) -> re.Pattern[str]:
    r"""What a tag looks like in `text`. To `re` a combining mark is no part of a word, so those that occur are added
    to \w. A name ends where no further word goes on: "@writers" is not "@writer", and "@writer-in-chief" neither."""
    marks = "" if text.isascii() else "".join(c for c in set(text) if unicodedata.category(c).startswith("M"))
    word = rf"[\w{marks}]"
    called = sorted({name for agent in agents for name in (agent.key, agent.name)}, key=len, reverse=True)
    known = "|".join(map(re.escape, called)) or "(?!)"
    return re.compile(
        rf"(?<![\w@{marks}])@(?:(?P<known>{known})(?!{word}|-{word})|(?P<other>{word}+(?:-{word}+)*))", re.IGNORECASE
    )


def _names(agents: Iterable[Agent]) -> dict[str, str]:
    """Every way to call an agent, casefolded, to its key. A key wins over another agent's name, and of two agents
    with one name the first in the roster is meant."""
    agents = list(agents)
    by_name: dict[str, str] = {}
    for agent in agents:
        by_name.setdefault(agent.name.casefold(), agent.key)
    return by_name | {agent.key.casefold(): agent.key for agent in agents}


def _without_code(message: str) -> str:
    """`message` with everything between two equally long runs of backticks blanked, as Markdown reads them."""
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
