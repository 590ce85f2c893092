"""Issue local tokens, signed with one RSA key from the data directory."""

import hashlib
import json
import os
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

ISSUER: Final = "https://pantheon.localhost"
AUDIENCE: Final = "pantheon-local"
_ALGORITHM: Final = "RS256"
KEY_FILE: Final = "token-key.pem"
NO_CLAIMS: Final[Mapping[str, str]] = MappingProxyType({})


class TokenKeyError(Exception):
    """The key that signs tokens is missing or invalid."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The names of the claims that a deployment can change."""

    tenant: str = "tenant_id"
    roles: str = "roles"


class TokenKey:
    """A key that signs tokens. `jwks` is its public half, as an issuer publishes it."""

    def __init__(self, private_key: RSAPrivateKey) -> None:
        self._private_key = private_key
        public = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        identity = {name: public[name] for name in ("e", "kty", "n")}
        digest = hashlib.sha256(json.dumps(identity, separators=(",", ":"), sort_keys=True).encode()).digest()
        self.key_id = urlsafe_b64encode(digest).rstrip(b"=").decode()
        self.jwks = {"keys": [{**identity, "kid": self.key_id, "alg": _ALGORITHM, "use": "sig"}]}

    @classmethod
    def load(cls, data_dir: Path) -> Self:
        """Read the key of `data_dir`. Raises TokenKeyError."""
        path = data_dir / KEY_FILE
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except FileNotFoundError:
            raise TokenKeyError(f"There is no key in {data_dir} yet; the first `pantheon run` makes it.") from None
        except OSError as error:
            raise TokenKeyError(f"{path} cannot be read as a key: {error.strerror}.") from error
        except (ValueError, TypeError) as error:
            raise TokenKeyError(f"{path} cannot be read as a key. Remove it: the next start makes another.") from error
        if not isinstance(key, RSAPrivateKey):
            raise TokenKeyError(f"{path} is not an RSA key.")
        return cls(key)

    @classmethod
    def load_or_create(cls, data_dir: Path) -> Self:
        """Read the key of `data_dir`, or create it, readable only by its owner. Raises TokenKeyError."""
        if not (data_dir / KEY_FILE).exists():
            _create(data_dir / KEY_FILE)
        return cls.load(data_dir)

    def issue(
        self,
        tenant: str,
        user: str,
        roles: Sequence[str],
        ttl: timedelta,
        names: ClaimNames = ClaimNames(),
        others: Mapping[str, str] = NO_CLAIMS,
    ) -> str:
        """Return a token for `user` of `tenant`, valid for `ttl` from now. `others` are further claims."""
        now = int(time.time())
        claims = {
            **others,
            names.tenant: tenant,
            names.roles: list(roles),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "iat": now,
            "nbf": now,
            "exp": now + int(ttl.total_seconds()),
        }
        return jwt.encode(claims, self._private_key, algorithm=_ALGORITHM, headers={"kid": self.key_id})


def _create(path: Path) -> None:
    """Write a new key to `path` atomically, so that a kill leaves no incomplete key."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
