"""Prepare a provider's words about an error for an operator's log.

Providers repeat keys, headers and prompts in their errors. The line has no secret and no part of the prompt.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from shared.llm.port import storable

MAX_CHARACTERS: Final = 500
HIDDEN: Final = "***"
# Characters in a row that a message shares with the prompt to count as a quotation, or with a secret to count as a part
# of it.
QUOTED: Final = 20
SECRET_PART: Final = 8
_SHORTEST: Final = 6
# Replaces hidden text while the rest is searched. No line has a NUL of its own.
_HOLE: Final = "\x00"
# More than MAX_CHARACTERS, because hiding shortens the text.
_READ: Final = 1500

_NESTED: Final = 3
_ESCAPES: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrt])|([\"'/\\]))")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+")
_URL: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)([^\s/?#@'\"<>]{0,300}@)?([^\s?#'\"<>]{0,300})([?#][^\s'\"<>]{0,1500})?"
)
_SECRETS: Final = (
    re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;\"']+"),
    re.compile(
        r"(?i)(?<![A-Za-z0-9])((?:proxy-)?authorization|(?:x-)?api[-_ ]?key|access[-_ ]?(?:key|token)(?:[-_ ]id)?"
        r"|secret(?:[-_ ]access)?(?:[-_ ]key)?|passw(?:or)?d|credentials?|session[-_ ]token|signature)"
        r"(?:[\"' ]{0,3}(?:is|was|provided))?[\"' ]{0,3}[:=][\"' ]{0,3}[^\s,;\"']+"
    ),
    # Keys begin with their provider's prefix.
    re.compile(
        r"()(?<![A-Za-z0-9])(?:(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|key|r8|tgp|fw|csk)[-_*]|AIza|AKIA|ASIA)[^\s,;\"')]*"
    ),
)
_WORD: Final = re.compile(r"[^\s,;\"'()]+")
# Keys that are shown in part.
_MASK: Final = re.compile(r"\*{2}|•{2}|[A-Za-z0-9_-]{2}(?:\.{3}|…)\.{0,9}[A-Za-z0-9_-]{2}")
# A short text in quotes or brackets.
_IN_QUOTES: Final = re.compile(r"(?<=[\"'`«“‘(\[])[^\"'`»”’)\]]{6,19}(?=[\"'`»”’)\]])")
_HOLES: Final = re.compile(f"{_HOLE}[ {_HOLE}]*{_HOLE}|{_HOLE}")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9_+/=.~-]{20,}")
_DIGIT_AND_LETTER: Final = re.compile(r"[0-9][^0-9]*[A-Za-z]|[A-Za-z][^A-Za-z]*[0-9]")


def tell(message: str, prompts: Iterable[str], secrets: Sequence[str] = (), known: Sequence[str] = ()) -> str | None:
    """Return the message as one storable line of at most MAX_CHARACTERS, without secrets and quotations from the
    prompts. `known` are harmless names, such as the model's id. None if nothing is left."""
    line = _one_line(message[:_READ])
    said = [_folded(_one_line(prompt)) for prompt in prompts]
    quoted = [part for part in (line, *_IN_QUOTES.findall(line)) if part not in known and _is_in(part, said)]
    line = _without_parts(line, [_one_line(secret) for secret in secrets], SECRET_PART)
    line = _without_parts(line, quoted, QUOTED)
    line = _without_parts(line, said, QUOTED)
    line = _URL.sub(_plain_url, line)
    for pattern in _SECRETS:
        line = pattern.sub(lambda found: f"{found[1]} {_HOLE}" if found[1] else _HOLE, line)
    line = _WORD.sub(lambda found: _HOLE if _MASK.search(found[0]) else found[0], line)
    line = _LONG_WORD.sub(lambda found: _unless_key(found[0], known), line)
    line = "".join(filter(str.isprintable, _HOLES.sub(HIDDEN, line))).strip()
    if len(line) > MAX_CHARACTERS:
        line = line[: MAX_CHARACTERS - 1] + "…"
    return line if line.strip("* .") else None


def _one_line(text: str) -> str:
    """Return the text as one line. JSON escapes are decoded up to three times, because quotations may be escaped."""
    for _ in range(_NESTED):
        text = _ESCAPES.sub(lambda found: chr(int(found[1], 16)) if found[1] else " " if found[2] else found[3], text)
    return storable(_BLANKS.sub(" ", text)).strip()


def _without_parts(line: str, texts: Iterable[str], run: int) -> str:
    """Replace each `run` characters in a row that the line shares with one of the texts by a hole. A shorter text is
    hidden as a whole."""
    folded = _folded(line)
    hidden = bytearray(len(line))
    long: list[str] = []
    for text in map(_folded, texts):
        if len(text) >= run:
            long.append(text)
        elif len(text) >= _SHORTEST:
            _mark(hidden, folded, text)
    # A shared run contains a whole block of the text. So one pass finds the places to look at in a long prompt.
    size = run // 2
    blocks = {text[start : start + size] for text in long for start in range(0, len(text), size)}
    places = [folded[start : start + size] in blocks for start in range(len(folded))]
    for start in range(len(folded) - run + 1):
        if any(places[start : start + run - size + 1]):
            part = folded[start : start + run]
            if any(part in text for text in long):
                hidden[start : start + run] = b"\x01" * run
    return "".join(_shown(line, hidden)) if any(hidden) else line


def _is_in(part: str, folded: Sequence[str]) -> bool:
    return len(part) >= _SHORTEST and any(_folded(part) in text for text in folded)


def _folded(text: str) -> str:
    small = text.lower()
    # A few letters have no single small letter. Positions must stay.
    return small if len(small) == len(text) else text


def _mark(hidden: bytearray, line: str, text: str) -> None:
    start = line.find(text)
    while start >= 0:
        hidden[start : start + len(text)] = b"\x01" * len(text)
        start = line.find(text, start + len(text))


def _shown(line: str, hidden: bytearray) -> Iterable[str]:
    for index, character in enumerate(line):
        if not hidden[index]:
            yield character
        elif index == 0 or not hidden[index - 1]:
            yield _HOLE


def _plain_url(found: re.Match[str]) -> str:
    user = f"{_HOLE}@" if found[2] else ""
    return f"{found[1]}{user}{found[3]}" + (f"?{_HOLE}" if found[4] else "")


def _unless_key(word: str, known: Sequence[str]) -> str:
    """Hide long words of letters and digits: keys, tokens, ids and signatures."""
    if any(name and name in word and len(word) - len(name) < SECRET_PART for name in known):
        return word
    return _HOLE if _DIGIT_AND_LETTER.search(word) else word
