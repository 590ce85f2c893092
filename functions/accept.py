"""Read `Accept`: the media types that a client takes, and its preference between JSON and another one."""

import re
from typing import Final

_JSON: Final = "application/json"
_QUALITY: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def prefers(media_type: str, accept: str) -> bool:
    """Return whether the client prefers `media_type` to JSON.

    The higher quality wins, then the more specific range, then the first one. JSON wins in a range that has both.
    """
    ranges = [_range(text) for text in accept.lower().split(",")]
    return _rank(media_type, ranges) > _rank(_JSON, ranges)


def accepts(media_type: str, accept: str) -> bool:
    """Return whether the client takes `media_type`. Without the header it takes everything."""
    if not accept.strip():
        return True
    return _rank(media_type, [_range(text) for text in accept.lower().split(",")])[0] > 0


def _range(text: str) -> tuple[str, float]:
    """Return a media range without its parameters, and its quality. An unreadable quality is 1."""
    named, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name == "q" and _QUALITY.fullmatch(value):
            return named, float(value)
    return named, 1.0


def _rank(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int, int]:
    """Return quality, specificity and place of the most specific range with `media_type`. Higher is better."""
    ways = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    found = [(-ways.index(named), -place, quality) for place, (named, quality) in enumerate(ranges) if named in ways]
    if not found:
        return 0.0, 0, 0
    specificity, place, quality = max(found)
    return (quality, specificity, place) if quality else (0.0, 0, 0)
