"""Check the characters in names of users, tenants, agents and API keys."""

import re
from typing import Final

# Python calls these printable, but they have no shape, so two different names could look the same.
_SHAPELESS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_visible(text: str) -> bool:
    """Whether every character of `text` is visible. Refuses control, invisible, bidirectional, private and unassigned
    characters, blanks other than the space, and joined emoji."""
    return text.isprintable() and (text.isascii() or not _SHAPELESS.search(text))


def is_identifier(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and is_visible(value)
