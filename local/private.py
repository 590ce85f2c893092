"""Close the files of the local run to other users of this machine: folders have mode 0700, files 0600."""

import errno
import stat
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def make_folder(path: Path) -> None:
    """Make the folder if it is missing, and close it to other users.

    Raises OSError, also for a shared folder such as /tmp, because closing it would lock out its users."""
    path.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    if path.stat().st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, "The folder is shared with other users; name a folder of its own", str(path))
    _close(path)


def make_file(path: Path) -> None:
    """Make an empty file if it is missing, and close it to other users. Raises OSError."""
    path.touch(mode=_FILE)
    _close(path)


def close_files(*paths: Path) -> None:
    """Close the files and folders that exist. Raises OSError."""
    for path in paths:
        if path.exists():
            _close(path)


def open_to_others(folder: Path) -> list[Path]:
    """Return the folder and its files, two levels deep, if other users have access to them. Raises OSError.

    Two levels reach every secret and log. PostgreSQL itself refuses to start on an open folder."""
    return [path for path in (folder, *sorted(folder.glob("*")), *sorted(folder.glob("*/*"))) if _is_open(path)]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.lstat().st_mode & _OTHERS) and not path.is_symlink()
    except FileNotFoundError:  # a server has just removed it
        return False


def _close(path: Path) -> None:
    if (mode := stat.S_IMODE(path.stat().st_mode)) & _OTHERS:
        path.chmod(mode & ~_OTHERS)
