"""The form of an API key: `pan_` and 43 characters of base 62, which are 256 random bits."""

import hashlib
import re
import secrets
import string
from typing import Final

_MARK: Final = "pan_"
_CHARACTERS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LENGTH: Final = 43
_FORM: Final = re.compile(rf"{_MARK}[0-9A-Za-z]{{{_LENGTH}}}")
_PREFIX_LENGTH: Final = 12


def new_key() -> str:
    return _MARK + "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTH))


def looks_like_key(text: str) -> bool:
    """Whether `text` is meant to be a key. It may be cut or misspelt."""
    return text.startswith(_MARK)


def is_key(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def hash_key(text: str) -> bytes:
    """Return the SHA-256 of a key, which is stored instead. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def prefix_of(text: str) -> str:
    """Return the first characters of a key, by which people recognise it. They reveal 8 of its 43 random characters."""
    return text[:_PREFIX_LENGTH]
