"""Read an answer as the one text that is stored, shown and sent to other models.

Every answer passes here before the journal keeps it, so a resumed turn reads the same text. The journal keeps the
thinking apart from the text, for the audit.
"""

import re
import string
import unicodedata
from dataclasses import replace
from functools import lru_cache
from typing import Final

from shared.domain.agent import Agent
from shared.domain.json_text import cut_json
from shared.llm.port import MAX_THINKING_BYTES, Completion, storable
from shared.llm.thinking import split_thinking
from shared.orchestration.tags import name_pattern

# The answer was thinking and nothing else.
THINKING_ONLY: Final = "thinking_only"
# `http:` of an agent with this name begins an address, and `std:` a word of C++.
_COLON: Final = r"(?:：|:(?!(?-i:[a-z])|[/:]))"
# No longer text is a name and a key with marks around them.
MAX_HEADER: Final = 250
_BEFORE_NAME: Final = "*_[<@" + string.whitespace
_BEHIND_NAME: Final = "(:：*_]>"


def read_reply(completion: Completion, agent: Agent | None) -> Completion:
    """The completion with its thinking apart from its text and, if `agent` gave it, without its name as a speaker's at
    the beginning."""
    text, thinking = split_thinking(completion.text)
    apart = replace(completion, text=text, thinking=_joined(completion.thinking, thinking))
    if completion.text.strip() and not text.strip():
        known = completion.error or (None if completion.stop_reason == "content_filtered" else THINKING_ONLY)
        return replace(apart, text="", error=known)
    return apart if agent is None else replace(apart, text=without_own_name(text, agent))


def without_own_name(text: str, agent: Agent) -> str:
    """`text` without one `Writer:` before it, with or without Markdown around the name or the key."""
    found = _speaker(agent.name, agent.key).match(text)
    rest = text[found.end() :] if found else ""
    # A text that is nothing but the name is the answer.
    return rest if rest.strip() else text


def own_name_end(text: str, agent: Agent) -> int | None:
    """Return the length of what `without_own_name` leaves out. None: that depends on the rest of the text."""
    found = _speaker(agent.name, agent.key).match(text)
    if found:
        return found.end() if text[found.end() :].strip() else None
    begun = _folded(text[: 2 * MAX_HEADER].lstrip(_BEFORE_NAME))
    if len(begun) > MAX_HEADER:
        return 0
    return None if any(_may_be(begun, _folded(called)) for called in (agent.name, agent.key)) else 0


def _may_be(begun: str, called: str) -> bool:
    """Whether a text that began so may have the name as its speaker."""
    if called.startswith(begun):
        return True
    behind = begun.removeprefix(called).lstrip(" ")
    return begun.startswith(called) and (not behind or behind[0] in _BEHIND_NAME)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFD", text.casefold())


def _joined(*thoughts: str | None) -> str | None:
    """As much of these thoughts as the journal keeps. None if there is none."""
    thinking = "\n\n".join(thought.strip() for thought in thoughts if thought and thought.strip())
    return cut_json(storable(thinking), MAX_THINKING_BYTES) or None


@lru_cache(maxsize=256)
def _speaker(name: str, key: str) -> re.Pattern[str]:
    called = f"(?:{name_pattern(name)}|{re.escape(key)})"
    # A model may write the key beside the name: Writer (writer).
    named = rf"@?{called}(?: ?\(@?{called}\))?"
    inner = rf"(?:{named}|\[{named}\]|<{named}>)"
    marked = rf"(?P<mark>\*{{1,3}}|_{{1,3}}){inner}(?:(?P=mark) ?{_COLON}|{_COLON}(?P=mark))"
    return re.compile(rf"\s*+(?:{marked}|{inner} ?{_COLON})\s*", re.IGNORECASE)
