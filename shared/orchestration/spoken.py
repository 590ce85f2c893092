"""Read an answer as the one text that is stored, shown and sent to other models.

Every answer passes here before the journal keeps it, so a resumed turn reads the same text. The journal keeps the
thinking apart from the text, for the audit.
"""

import re
from dataclasses import replace
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


def spoken(completion: Completion, agent: Agent | None) -> Completion:
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
    found = _speaker(agent).match(text)
    rest = text[found.end() :] if found else ""
    # A text that is nothing but the name is the answer.
    return rest if rest.strip() else text


def _joined(*thoughts: str | None) -> str | None:
    """As much of these thoughts as the journal keeps. None if there is none."""
    thinking = "\n\n".join(thought.strip() for thought in thoughts if thought and thought.strip())
    return cut_json(storable(thinking), MAX_THINKING_BYTES) or None


def _speaker(agent: Agent) -> re.Pattern[str]:
    called = f"(?:{name_pattern(agent.name)}|{re.escape(agent.key)})"
    # A model may write the key beside the name: Writer (writer).
    name = rf"@?{called}(?: ?\(@?{called}\))?"
    inner = rf"(?:{name}|\[{name}\]|<{name}>)"
    marked = rf"(?P<mark>\*{{1,3}}|_{{1,3}}){inner}(?:(?P=mark) ?{_COLON}|{_COLON}(?P=mark))"
    return re.compile(rf"\s*+(?:{marked}|{inner} ?{_COLON})\s*", re.IGNORECASE)
