"""Reads from `Prefer` and `Accept` how a client wants the answer to a posted turn."""

import re
from typing import Final

from functions.server_sent_events import MEDIA_TYPE

_QUALITY: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_JSON: Final = "application/json"


def wants_later(prefer: str) -> bool:
    """Whether one of the preferences, which may have parameters, is not to wait."""
    return "respond-async" in {preference.partition(";")[0].strip().lower() for preference in prefer.split(",")}


def wants_events(accept: str) -> bool:
    """Whether the client prefers a stream of events to JSON.

    The higher quality wins, then the more specific range, then the first one. Ranges that name both give JSON.
    """
    ranges = [_range(text) for text in accept.split(",")]
    return _rank(MEDIA_TYPE, ranges) > _rank(_JSON, ranges)


def _range(text: str) -> tuple[str, float]:
    """A media range without its parameters, and its quality. A quality that cannot be read is 0."""
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name == "q":
            return media, float(value) if _QUALITY.fullmatch(value) else 0.0
    return media, 1.0


def _rank(media: str, ranges: list[tuple[str, float]]) -> tuple[float, int, int]:
    """Quality, specificity and place of the most specific range that `media` is in. Higher is better."""
    ways = (media, f"{media.partition('/')[0]}/*", "*/*")
    found = [(-ways.index(named), -place, quality) for place, (named, quality) in enumerate(ranges) if named in ways]
    if not found:
        return 0.0, 0, 0
    specificity, place, quality = max(found)
    return (quality, specificity, place) if quality else (0.0, 0, 0)
