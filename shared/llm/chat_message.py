"""Read the message of a chat completion: text, thinking, and refusal.

A delta of a stream has the form of a message, so the same functions read it.
"""

from typing import Final

# The fields in which servers put a message's thinking beside its text.
THINKING: Final = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
# Parts of other kinds are citations, images, tool calls or thinking.
_TEXT_PARTS: Final = ("text", "output_text", "input_text")


def text_of(message: object) -> str:
    match message:
        case {"content": str(text)}:
            return text
        case {"content": [*parts]}:
            return "".join(map(_part, parts))
        case {"content": dict(part)}:
            return _part(part)
    return ""


def _part(part: object) -> str:
    match part:
        case {"type": str(kind), "text": str(text)} if kind in _TEXT_PARTS:
            return text
    return ""


def is_refused(message: object) -> bool:
    match message:
        case {"content": [*parts]} if any(isinstance(part, dict) and part.get("refusal") for part in parts):
            return True
        case {"refusal": refusal}:
            return bool(refusal)
    return False


def has_thought(message: object) -> bool:
    """Whether the message has thinking beside its text, or instead of it."""
    return bool(thoughts_of(message))


def thinking_of(message: object) -> str:
    # Some providers send one thought under several names.
    return next(filter(None, thoughts_of(message).values()), "")


def thoughts_of(message: object) -> dict[str, str]:
    """Return the text of each thought by its field, and of parts of the content as `content`. An encrypted thought has
    no text."""
    if not isinstance(message, dict):
        return {}
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    within = [part for part in parts if isinstance(part, dict) and part.get("type") in THINKING]
    named = {"content": within, **{name: message.get(name) for name in THINKING}}
    return {name: _thought_text(thought) for name, thought in named.items() if thought}


def _thought_text(thought: object) -> str:
    match thought:
        case str():
            return thought
        case [*parts]:
            return "".join(map(_thought_part, parts))
    return ""


def _thought_part(part: object) -> str:
    match part:
        case {"thinking": str(text)} | {"text": str(text)} | {"summary": str(text)}:
            return text
        case {"thinking": [*parts]}:
            return "".join(map(_part, parts))
    return ""
