"""Identify the caller from the Authorization header: a token of the issuer, or an API key."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shared.db.engine import Database
from shared.db.identity import find_api_key
from shared.domain.api_key import hash_key, is_key, looks_like_key
from shared.identity.key_set import KeySet
from shared.identity.token import Identity, InvalidToken, verify
from shared.settings import AuthorizerSettings

# Each process looks an unknown key up once in this time, in seconds.
REMEMBERED_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


class Authority:
    """Checks credentials. `keys` are the issuer's. `db` is connected as `pantheon_auth`."""

    def __init__(
        self, values: AuthorizerSettings, keys: KeySet, db: Database, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._values, self._keys, self._db, self._clock = values, keys, db, clock
        # Hashes of unknown keys, oldest first, each with the clock's time until which it is remembered.
        self._unknown: dict[bytes, float] = {}

    def identify(self, event: Mapping[str, Any]) -> Identity:
        """Return the caller of an authorizer's REQUEST event.

        Raises InvalidToken for a refusal, and KeysUnavailable or DatabaseUnavailable if it cannot decide."""
        credential = _bearer(_authorization(event))
        if looks_like_key(credential):
            return self._by_key(credential)
        return verify(credential, self._keys, self._values)

    def _by_key(self, key: str) -> Identity:
        if not is_key(key):
            raise InvalidToken("The API key is malformed.")
        digest = hash_key(key)
        found = None if self._is_remembered(digest) else find_api_key(self._db, digest)
        if found is None:
            self._remember(digest)
            raise InvalidToken("The API key is unknown, revoked or expired.")
        return Identity(found.created_by, found.tenant_id, (found.role,), key_id=str(found.id))

    def _is_remembered(self, digest: bytes) -> bool:
        return self._unknown.get(digest, 0.0) > self._clock()

    def _remember(self, digest: bytes) -> None:
        if self._is_remembered(digest):
            return
        self._unknown.pop(digest, None)
        if len(self._unknown) >= _MOST_REMEMBERED:
            del self._unknown[next(iter(self._unknown))]
        self._unknown[digest] = self._clock() + REMEMBERED_S


def _authorization(event: Mapping[str, Any]) -> Sequence[str]:
    """Return every value of the header. The case of its name does not matter."""
    given = event.get("multiValueHeaders") or {}
    return [value for name, values in given.items() if name.lower() == "authorization" for value in values]


def _bearer(values: Sequence[str]) -> str:
    scheme, _, credential = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not credential:
        raise InvalidToken("Send one Authorization header: Bearer and a token or an API key.")
    return credential
