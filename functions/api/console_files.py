"""Read and serve the files of a built page, each with its media type and its entity tag.

A request can name only files that were in the folder at the first read, so no path leads out of the folder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from functions.problems import problem_response

# Text only, because API Gateway passes bytes on only for binary media types.
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
_INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of a page. `never_changes`: its name has a hash of its content."""

    content: str
    media_type: str
    tag: str
    never_changes: bool


@cache
def read_files(folder: Path) -> Mapping[str, PageFile]:
    """Return the files of known types by their path in the folder. A process reads a folder once."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in _MEDIA_TYPES)
    return {path.relative_to(folder).as_posix(): _read(path, folder) for path in paths}


def answer_file(request: Request, files: Mapping[str, PageFile], name: str, headers: Mapping[str, str]) -> Response:
    """Answer with a file, 304 if the client has it, or 404. Without a name, the file is the page itself."""
    file = files.get(name or _INDEX)
    if file is None:
        missing = {**headers, "Cache-Control": "no-store"}
        return problem_response(request.scope, 404, "not_found", "There is nothing at this address.", {}, missing)
    cached = "public, max-age=31536000, immutable" if file.never_changes else "no-cache"
    headers = {**headers, "ETag": file.tag, "Cache-Control": cached}
    if file.tag in _tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers={**headers, "Content-Type": file.media_type})


def _tags(written: str) -> list[str]:
    """Return the tags of `If-None-Match`. Only weak ones can match."""
    return [tag.strip() for tag in written.split(",")]


def _read(path: Path, folder: Path) -> PageFile:
    content = path.read_text("utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    hashed = path.relative_to(folder).as_posix().startswith(_HASHED)
    # Weak, because the gateway may compress what it sends.
    return PageFile(content, _MEDIA_TYPES[path.suffix], f'W/"{digest}"', hashed)
