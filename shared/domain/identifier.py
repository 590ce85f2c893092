"""Which characters the name of a user, a tenant, an agent or an API key may have."""

import re
from typing import Final

# Python calls these printable: marks and letters without a shape, which make two names look the same.
_SHAPELESS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_visible(text: str) -> bool:
    """Whether all of `text` can be seen: no control, invisible, bidirectional, private or unassigned character, and no
    blank but the space. Emoji that are joined from several characters are refused, too."""
    return text.isprintable() and (text.isascii() or not _SHAPELESS.search(text))


def is_identifier(value: object) -> bool:
    """Whether `value` is 1 to 255 visible characters."""
    return isinstance(value, str) and 0 < len(value) <= 255 and is_visible(value)
