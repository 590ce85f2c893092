"""The commit that this function was made of."""

from functools import cache
from pathlib import Path
from typing import Final

from shared.commit import COMMIT_FILE, checked_out

_BUNDLED: Final = Path(__file__).with_name(COMMIT_FILE)
_ROOT: Final = Path(__file__).parents[2]


@cache
def commit() -> str | None:
    """Return the commit that was bundled, or else the one that git has checked out; None without both."""
    return _BUNDLED.read_text().strip() if _BUNDLED.exists() else checked_out(_ROOT)
