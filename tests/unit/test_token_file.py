"""Tests the file with the whole token of `pantheon run`."""

import stat
import time
from pathlib import Path

import jwt
import pytest

from local import token_file

KEY = "0123456789abcdef0123456789abcdef"


def token(ttl_s: float) -> str:
    return jwt.encode({"exp": int(time.time() + ttl_s)}, KEY, "HS256")


def test_token_is_stored_whole_for_its_user_alone_and_is_short_on_the_screen(tmp_path: Path) -> None:
    whole = token(60)
    path = token_file.write(tmp_path, token(1))
    assert token_file.write(tmp_path, whole) == path
    assert token_file.read(tmp_path) == whole
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token_file.short(whole) == f"{whole[:8]}…"


@pytest.mark.parametrize("text", [None, "", "junk", "a.b.c", "a.e30.c"])
def test_missing_or_broken_token_is_refused_with_the_next_step(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / token_file.NAME).write_text(text)
    with pytest.raises(token_file.NoToken, match=r"^There is no token in .*token: start `pantheon run`\.$"):
        token_file.read(tmp_path)


def test_expired_token_is_not_shown(tmp_path: Path) -> None:
    token_file.write(tmp_path, token(-1))
    with pytest.raises(token_file.NoToken, match="has expired"):
        token_file.read(tmp_path)
