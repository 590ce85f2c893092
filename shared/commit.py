"""Read the commit that is checked out in a work tree."""

from pathlib import Path
from typing import Final

# The bundle has the commit in this file, in the folder of the function `api`.
COMMIT_FILE: Final = "commit.txt"
_GIT_S: Final = 5.0


def checked_out(root: Path) -> str | None:
    """Return the commit at `root`, with `-dirty` if files have changed, or None if `root` is no work tree."""
    if not (root / ".git").exists():
        return None
    # Lambda never gets here and does not load it.
    import subprocess

    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_GIT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() or None
