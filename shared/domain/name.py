"""Check the names of agents and API keys. Names that look the same are equal, and every character is visible."""

import unicodedata
from typing import Final

from pydantic_core import PydanticCustomError

from shared.domain.identifier import is_visible

MAX_NAME_CHARACTERS: Final = 64


def visible_name(text: str) -> str:
    """Return the name in NFC, its stored form. Limit the length first, because NFC takes time quadratic in a run of
    combining marks."""
    text = unicodedata.normalize("NFC", text)
    if hidden := next((character for character in text if not is_visible(character)), None):
        raise PydanticCustomError(
            "not_visible",
            "Input has the invisible character {character}; use only visible characters and spaces",
            {"character": f"U+{ord(hidden):04X}"},
        )
    return text


def still_a_line(text: str) -> str:
    """Check the name again after NFC, which lengthens some letters and turns a Greek accent into a backtick."""
    if len(text) > MAX_NAME_CHARACTERS or "`" in text:
        raise PydanticCustomError(
            "not_a_line", "Input should have at most 64 characters in Unicode's form NFC, and no backtick among them"
        )
    return text


def not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Input should hold more than blanks")
    return text
