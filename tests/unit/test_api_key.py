"""Tests the form of API keys."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.domain.api_key import hash_key, is_key, looks_like_key, new_key, prefix_of

KEY = "pan_" + "aZ09" * 10 + "xyz"


def test_new_key_has_the_form_and_differs_from_every_other_key() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(re.fullmatch(r"pan_[0-9A-Za-z]{43}", key) and is_key(key) and looks_like_key(key) for key in keys)
    assert set("".join(key[4:] for key in keys)) == set(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pan_",
        KEY[:-1],
        KEY + "a",
        KEY * 2,
        KEY + "\n",
        " " + KEY,
        KEY + " ",
        KEY.upper(),
        "Pan_" + KEY[4:],
        "pan-" + KEY[4:],
        KEY[:-1] + "_",
        KEY[:-1] + "-",
        KEY[:-1] + "é",
        KEY[:-1] + "٣",
        KEY[:-1] + "Ａ",
        KEY[:-1] + "\x00",
        KEY[:-1] + "\ud800",
        KEY[4:],
    ],
)
def test_text_of_another_form_is_not_a_key(text: str) -> None:
    assert is_key(KEY)
    assert not is_key(text)
    assert looks_like_key(text) == text.startswith("pan_")


def test_a_key_is_stored_as_its_sha_256_and_known_by_its_first_twelve_characters() -> None:
    assert hash_key(KEY) == hashlib.sha256(KEY.encode()).digest()
    assert prefix_of(KEY) == KEY[:12]


def test_the_lookup_needs_no_sqlalchemy() -> None:
    program = "import sys, shared.db.identity, shared.domain.api_key; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
