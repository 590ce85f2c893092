"""Tags, against a reading of the contract that goes through the message letter by letter and cares for no speed.

An input is a roster, an agent a line (`key=Name`), an empty line, and the message.
"""

import re
import unicodedata
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from shared.domain.agent import Agent
from shared.orchestration.tags import SPACELESS, Tags, parse_tags
from shared.roster.fields import AgentKey, Line

WORDS = (
    "@",
    "@ada",
    "@Ada Lovelace",
    "`",
    "``",
    "```\n",
    "-",
    "_",
    "\n\n",
    "=",
    "作家",
    "＠",
    ".",
    "e\u0301",
    "\u0301",
    "\u0130",
    "\u0131",
    "ß",
    "é",
)
_KEY, _NAME = TypeAdapter[str](AgentKey), TypeAdapter[str](Line)


def attempt(data: bytes) -> None:
    listed, _, message = data.decode("utf-8", "replace").replace("\x00", "").partition("\n\n")
    roster = _roster(listed)
    tags = parse_tags(message, roster)
    assert tags == by_the_letter(message, roster), (tags, by_the_letter(message, roster))
    assert len(set(tags.agent_keys)) == len(tags.agent_keys)
    assert set(tags.agent_keys) <= roster.keys()
    assert len({typed.casefold() for typed in tags.unknown}) == len(tags.unknown)
    code = f"``{message.replace('`', '')}``"
    assert parse_tags(code, roster) == Tags((), ())


def _roster(listed: str) -> dict[str, Agent]:
    """Those of the lines that could be agents."""
    roster: dict[str, Agent] = {}
    for line in listed.split("\n")[:8]:
        key, _, name = line.partition("=")
        try:
            agent = Agent(_KEY.validate_python(key), 1, _NAME.validate_python(name), "", "fast", 1, None, enabled=True)
        except ValidationError:
            continue
        roster.setdefault(agent.key, agent)
    return roster


def by_the_letter(message: str, roster: Mapping[str, Agent]) -> Tags:
    text = _without_code(message)
    called = [(key, key) for key in roster]
    called += [(agent.name, agent.key) for agent in roster.values()]
    keys: list[str] = []
    unknown: dict[str, str] = {}
    place = 0
    while (sign := re.compile("[@＠]").search(text, place)) is not None:
        place = sign.end()
        if not _begins(text, sign.start()):
            continue
        fitting = [(name, key, end) for name, key in called if (end := _end(text, place, name))]
        if fitting:
            _, key, end = max(fitting, key=lambda way: len(way[0]))
            keys += [key] if key not in keys else []
            place = end
        elif typed := _word(text, place):
            unknown.setdefault(typed.casefold(), typed)
            place += len(typed)
    return Tags(tuple(keys), tuple(unknown.values()))


def _begins(text: str, sign: int) -> bool:
    """Return whether a tag can begin there. After a script without spaces it must not look like an address."""
    before = text[:sign][-1:]
    if not before or not (_is_word(before) or before in "@＠"):
        return True
    typed = _word(text, sign + 1)
    rest = text[sign + 1 + len(typed) :]
    address = typed and rest.startswith(".") and len(rest) > 1 and _is_word(rest[1])
    return _is_spaceless(before) and not address


def _is_spaceless(letter: str) -> bool:
    return re.match(f"[{SPACELESS}]", letter) is not None


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or _is_mark(letter)


def _end(text: str, place: int, name: str) -> int | None:
    """Return the end of `name` at `place`, in upper or lower case, with its accents composed or apart."""
    for letter in unicodedata.normalize("NFC", name):
        folded, apart = letter.casefold(), unicodedata.normalize("NFD", letter).casefold()
        if text[place : place + 1].casefold() == folded:
            place += 1
        elif text[place : place + len(folded)].casefold() == folded:
            place += len(folded)
        elif text[place : place + len(apart)].casefold() == apart:
            place += len(apart)
        else:
            return None
    goes_on = _is_spaceless(name[-1]) and _is_spaceless(text[place : place + 1]) and not _is_mark(text[place])
    return place if goes_on or _ends(text, place) else None


def _ends(text: str, place: int) -> bool:
    """Return whether a name that ends before `place` is a whole word."""
    rest = text[place : place + 2]
    return not (rest and (_is_word(rest[0]) or (len(rest) == 2 and rest[0] == "-" and _is_word(rest[1]))))


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")


def _word(text: str, place: int) -> str:
    """The word that begins at `place`, with the parts that hyphens tie to it."""
    end = place
    while end < len(text) and (_is_word(text[end]) or (text[end] == "-" and end > place and not _ends(text, end))):
        end += 1
    return text[place:end]


def _without_code(message: str) -> str:
    """A run of backticks opens code where one just as long follows; the first such one closes it."""
    parts = re.split("(`+)", message)
    kept, place = [parts[0]], 1
    while place < len(parts):
        fence = parts[place]
        closing = next((n for n in range(place + 2, len(parts), 2) if parts[n] == fence), None)
        if closing is None:
            kept += parts[place : place + 2]
            place += 2
        else:
            kept += [" ", parts[closing + 1]]
            place = closing + 2
    return "".join(kept)
