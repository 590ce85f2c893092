"""Check the names of agents and API keys: names that look the same are the same, and all of a name can be seen."""

import unicodedata
from typing import Final

from pydantic_core import PydanticCustomError

from shared.domain.identifier import is_visible

MAX_NAME_CHARACTERS: Final = 64


def visible_name(text: str) -> str:
    """A name as it is stored: in NFC, so that names that look the same are the same. Bound its length first, because
    NFC takes time quadratic in a run of combining marks."""
    text = unicodedata.normalize("NFC", text)
    if hidden := next((character for character in text if not is_visible(character)), None):
        raise PydanticCustomError(
            "not_visible",
            "Input holds {character}, which cannot be seen; a name has visible characters and spaces only",
            {"character": f"U+{ord(hidden):04X}"},
        )
    return text


def still_a_line(text: str) -> str:
    """Check what NFC can change: it makes some letters longer, and a backtick of a Greek accent."""
    if len(text) > MAX_NAME_CHARACTERS or "`" in text:
        raise PydanticCustomError(
            "not_a_line", "Input should have at most 64 characters in Unicode's form NFC, and no backtick among them"
        )
    return text


def not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Input should hold more than blanks")
    return text
