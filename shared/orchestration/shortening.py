"""Shorten texts evenly until a prompt fits."""

from collections.abc import Callable, Sequence
from typing import Final

from shared.llm.port import Message

SHORTENED: Final = "[shortened]"
# The cut is at most this share below the longest length that fits. An exact search takes twice as long.
_PRECISION: Final = 256

Messages = tuple[Message, ...]


def shortened(
    texts: Sequence[str], build: Callable[[Sequence[str]], Messages], fits: Callable[[Messages], bool]
) -> Messages:
    """Return what `build` makes of the texts. If that does not fit, cut each text to the same number of characters,
    close to the most that fits. A cut text ends with SHORTENED."""
    whole = build(texts)
    if fits(whole):
        return whole
    least, most = 0, max(map(len, texts), default=0)
    while most - least > least // _PRECISION:
        middle = (least + most + 1) // 2
        if fits(build(_cut(texts, middle))):
            least = middle
        else:
            most = middle - 1
    return build(_cut(texts, least))


def _cut(texts: Sequence[str], length: int) -> list[str]:
    return [text if len(text) <= length else f"{text[:length].rstrip()} {SHORTENED}" for text in texts]
