"""Store the complete token of `pantheon run` in a file that only its user can read, and shorten it for the screen."""

import base64
import json
import time
from pathlib import Path
from typing import Final

from local import private

NAME: Final = "token"
_SHOWN: Final = 8


class NoToken(Exception):
    """The file has no valid token. The text is one line."""


def write(data_dir: Path, token: str) -> Path:
    """Write the token atomically, and return the file. Raises OSError."""
    path = data_dir / NAME
    part = path.with_name(f"{NAME}.part")
    private.make_file(part)
    part.write_text(f"{token}\n", "ascii")
    part.replace(path)
    return path


def read(data_dir: Path) -> str:
    """Return the token of the last `pantheon run`. Raises NoToken."""
    path = data_dir / NAME
    try:
        token = path.read_text("ascii").strip()
        claims = json.loads(_decoded(token.split(".")[1]))
        expires_at = float(claims["exp"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise NoToken(f"There is no token in {path}: start `pantheon run`.") from error
    if expires_at <= time.time():
        raise NoToken(f"The token in {path} has expired: start `pantheon run` again.")
    return token


def short(token: str) -> str:
    """Return the first characters of the token, which are the same for every token."""
    return f"{token[:_SHOWN]}…"


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
