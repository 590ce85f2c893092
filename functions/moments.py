"""Read days and times of RFC 3339, of the years 2000 to 2999. A time must have an offset."""

import re
from datetime import UTC, datetime
from typing import Final

DAY: Final = re.compile(r"2\d{3}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(rf"{DAY.pattern}[Tt]\d\d:\d\d:\d\d(\.\d{{1,6}})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def read_day(written: str) -> datetime:
    """Return the midnight (UTC) at which the day begins. Raises ValueError."""
    if not DAY.fullmatch(written):
        raise ValueError("no day")
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def read_time(written: str) -> datetime:
    """Return the time in UTC. Raises ValueError, also for a time without an offset."""
    if not _TIME.fullmatch(written):
        raise ValueError("no time with an offset")
    return datetime.fromisoformat(written.upper()).astimezone(UTC)
