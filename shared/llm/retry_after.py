"""Read how long a provider asks to wait."""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from shared.catalog import WORKER_SECONDS
from shared.llm.refusal import Refusal

_MAX_HEADER: Final = 64
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_IN_WORDS: Final = re.compile(
    r"(?:try(?: again)?|retry|wait)(?: in| after| for)? ([0-9]{1,9}(?:\.[0-9]{1,9})?) ?"
    r"(ms|milliseconds?|s|seconds?|m|minutes?)\b",
    re.IGNORECASE,
)
_LIMITS: Final = ("-requests", "-tokens", "")
# A reset above these numbers is a time instead of a duration.
_EPOCH_S: Final = 10**9
_EPOCH_MS: Final = 10**12


def read_retry_after(headers: Mapping[str, str], refusal: Refusal) -> float | None:
    """Return the seconds to wait, at most WORKER_SECONDS. None if the provider does not say."""
    for seconds in (
        _scaled(headers.get("retry-after-ms"), 0.001),
        _scaled(headers.get("retry-after"), 1.0),
        _until_date(headers.get("retry-after"), headers.get("date")),
        _until_reset(headers),
        _duration(refusal.retry_delay),
        _in_words(refusal.message),
    ):
        if seconds is not None:
            return min(seconds, WORKER_SECONDS)
    return None


def _scaled(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _until_date(text: str | None, now: str | None) -> float | None:
    """Return the seconds until an HTTP date. The answer's own date is preferred, because clocks differ."""
    moment = _moment(text)
    if moment is None:
        return None
    told = _moment(now)
    return max(moment - (time.time() if told is None else told), 0.0)


def _moment(text: str | None) -> float | None:
    # A number alone is not a date.
    if text is None or len(text) > _MAX_HEADER or ":" not in text:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the longest reset of the limits that are used up."""
    used_up = [name for name in _LIMITS if headers.get(f"x-ratelimit-remaining{name}", "").strip() == "0"]
    resets = [_reset(headers.get(f"x-ratelimit-reset{name}")) for name in used_up]
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _reset(text: str | None) -> float | None:
    if text is not None and re.fullmatch(r"[0-9]{1,16}(\.[0-9]{1,9})?", text):
        number = float(text)
        if number < _EPOCH_S:
            return number
        return max(number / (1000 if number >= _EPOCH_MS else 1) - time.time(), 0.0)
    return _duration(text)


def _duration(text: str | None) -> float | None:
    """Return the seconds of a duration such as "6m0.5s"."""
    if text is None or len(text) > _MAX_HEADER or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _in_words(message: str) -> float | None:
    said = _IN_WORDS.search(message)
    if said is None:
        return None
    unit = "ms" if said[2].lower().startswith(("ms", "mil")) else said[2][0].lower()
    return float(said[1]) * _UNITS[unit]
