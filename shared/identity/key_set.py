"""Find the issuer's public key by its id, from a copy of its key set that is refreshed."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import jwt

from shared.aws.jwks_store import MAX_BYTES

ALGORITHM: Final = "RS256"
# Seconds between two readings. A key that the issuer removed is refused after this and the age of the copy.
REFRESH_S: Final = 300.0
# Seconds. The set is read at most once in this time, whatever key ids tokens name.
PAUSE_S: Final = 60.0
# Seconds. Without any key no token is valid, so the set is read again sooner.
EMPTY_PAUSE_S: Final = 2.0
_MIN_BITS: Final = 2048

_log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """The issuer's keys cannot be read, and none were read before."""


class InvalidKeySet(ValueError):
    """The document has no key that may sign tokens."""


class KeySet:
    """The keys of one issuer. `read` returns the key set's JSON document, or raises."""

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = float("-inf")

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key with this id, or None. Raises KeysUnavailable."""
        since = self._clock() - self._tried_at
        pause = PAUSE_S if self._keys else EMPTY_PAUSE_S
        if since >= REFRESH_S or (key_id not in self._keys and since >= pause):
            self._refresh()
        if not self._keys:
            raise KeysUnavailable
        return self._keys.get(key_id)

    def _refresh(self) -> None:
        """Read the set again. If that fails, the known keys stay."""
        self._tried_at = self._clock()
        try:
            self._keys = parse(self._read())
        except Exception as error:  # noqa: BLE001 - boto3 makes its exceptions up as it goes
            _log.warning("issuer keys not read", extra={"error": type(error).__name__})


def parse(document: bytes) -> dict[str, jwt.PyJWK]:
    """Return the RSA keys of a key set that may sign tokens, by their ids. Raises InvalidKeySet."""
    return {key["kid"]: jwt.PyJWK(key, ALGORITHM) for key in public_keys(document)}


def public_keys(document: bytes) -> list[dict[str, str]]:
    """Return the public parts of the same keys as JWKs. Raises InvalidKeySet."""
    if len(document) > MAX_BYTES:
        raise InvalidKeySet(f"The key set has more than {MAX_BYTES} bytes.")
    try:
        members = json.loads(document)["keys"]
        keys = [_public_part(key) for key in members if _may_sign(key)]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InvalidKeySet(f"The key set cannot be read: {type(error).__name__}.") from error
    strong = [key for key in keys if _is_strong(key)]
    if not strong:
        raise InvalidKeySet(f"The key set has no RSA key of {_MIN_BITS} bits or more with a key id.")
    return strong


def _public_part(key: dict[str, Any]) -> dict[str, str]:
    return {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": key["kid"], "n": key["n"], "e": key["e"]}


def _may_sign(key: object) -> bool:
    return (
        isinstance(key, dict)
        and key.get("kty") == "RSA"
        and key.get("use", "sig") == "sig"
        and key.get("alg", ALGORITHM) == ALGORITHM
        and all(isinstance(key.get(name), str) for name in ("kid", "n", "e"))
    )


def _is_strong(key: dict[str, str]) -> bool:
    try:
        return bool(jwt.PyJWK(key, ALGORITHM).key.key_size >= _MIN_BITS)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
