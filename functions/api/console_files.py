"""Read the built console: each file with its media type and its entity tag.

A request can name only the files that the folder had when they were read, so no path leads out of the folder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

# Text alone: API Gateway passes no bytes on without binary media types.
_MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".webmanifest": "application/manifest+json",
    }
)
# The build names these files by a hash of their content.
_HASHED: Final = "assets/"


@dataclass(frozen=True, slots=True)
class ConsoleFile:
    """A file of the console. `never_changes`: another content would have another name."""

    content: str
    media_type: str
    tag: str
    never_changes: bool


@cache
def read_files(folder: Path) -> Mapping[str, ConsoleFile]:
    """Return the files by their path in the folder, once a process. Files of other types are left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in _MEDIA_TYPES)
    return {path.relative_to(folder).as_posix(): _read(path, folder) for path in paths}


def _read(path: Path, folder: Path) -> ConsoleFile:
    content = path.read_text("utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    hashed = path.relative_to(folder).as_posix().startswith(_HASHED)
    # Weak, because the gateway may compress what it sends.
    return ConsoleFile(content, _MEDIA_TYPES[path.suffix], f'W/"{digest}"', hashed)
