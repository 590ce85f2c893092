"""Read the commit that this function was built from."""

from functools import cache
from pathlib import Path
from typing import Final

from shared.commit import COMMIT_FILE, checked_out

_BUNDLED: Final = Path(__file__).with_name(COMMIT_FILE)
_ROOT: Final = Path(__file__).parents[2]


@cache
def commit() -> str | None:
    """Return the bundled commit, else the one that git has checked out, else None."""
    return _BUNDLED.read_text().strip() if _BUNDLED.exists() else checked_out(_ROOT)
