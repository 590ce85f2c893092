"""Compare built files with those that the repository has."""

import filecmp
from pathlib import Path


def differences(built: Path, kept: Path) -> list[str]:
    """Return the paths at which two folders differ."""
    names = {path.relative_to(folder) for folder in (built, kept) for path in folder.rglob("*") if path.is_file()}
    return sorted(
        str(name)
        for name in names
        if not ((built / name).is_file() and (kept / name).is_file())
        or not filecmp.cmp(built / name, kept / name, shallow=False)
    )
