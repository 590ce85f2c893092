"""The local identity provider: one RSA key in the data directory, tokens signed with it, their verification.

The rule this file protects: a token counts only if our key signed it, with RS256, for this issuer and
audience, and it is in its time. RS256 because API Gateway's authorizer knows nothing but RSA.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

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
TENANT_CLAIM: Final = "tenant_id"
ROLES_CLAIM: Final = "roles"
# All headers of a request together may have 10,240 bytes on API Gateway.
MAX_TOKEN_LENGTH: Final = 8192
_ALGORITHM: Final = "RS256"
# Three parts in base64url without padding: a token has one spelling.
_SHAPE: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_TIMES: Final = ("exp", "nbf", "iat")
_FILE: Final = "token-key.pem"


class TokenKeyError(Exception):
    """The key that signs tokens is not there, or is not a key."""


class InvalidToken(Exception):
    """The token is forged, malformed, out of its time or meant for somebody else."""


class TokenKey:
    """Signs tokens and verifies them. `jwks` is the public half, as an issuer publishes it."""

    def __init__(self, private_key: RSAPrivateKey) -> None:
        self._private_key = private_key
        public = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        identity = {name: public[name] for name in ("e", "kty", "n")}
        digest = hashlib.sha256(json.dumps(identity, separators=(",", ":"), sort_keys=True).encode()).digest()
        self.key_id = urlsafe_b64encode(digest).rstrip(b"=").decode()
        self.jwks = {"keys": [{**identity, "kid": self.key_id, "alg": _ALGORITHM, "use": "sig"}]}
        self._public_keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(self.jwks).keys}

    @classmethod
    def load(cls, data_dir: Path) -> Self:
        """Read the key of `data_dir`. Raises TokenKeyError."""
        path = data_dir / _FILE
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except FileNotFoundError:
            raise TokenKeyError(f"There is no key in {data_dir} yet; the first `pantheon run` makes it.") from None
        except (OSError, ValueError, TypeError) as error:
            raise TokenKeyError(f"{path} cannot be read as a key: {error}") from error
        if not isinstance(key, RSAPrivateKey):
            raise TokenKeyError(f"{path} is not an RSA key.")
        return cls(key)

    @classmethod
    def load_or_create(cls, data_dir: Path) -> Self:
        """Read the key of `data_dir`, or make it, readable by its owner alone. Raises TokenKeyError."""
        if not (data_dir / _FILE).exists():
            _create(data_dir / _FILE)
        return cls.load(data_dir)

    def issue(self, tenant: str, user: str, roles: Sequence[str], ttl: timedelta) -> str:
        """A token for `user` of `tenant`, good from now on for `ttl`."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            TENANT_CLAIM: tenant,
            ROLES_CLAIM: list(roles),
            "iat": now,
            "nbf": now,
            "exp": now + int(ttl.total_seconds()),
        }
        return jwt.encode(claims, self._private_key, algorithm=_ALGORITHM, headers={"kid": self.key_id})

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of `token`. Raises InvalidToken."""
        if len(token) > MAX_TOKEN_LENGTH or not _SHAPE.fullmatch(token):
            raise InvalidToken("too long, or no token at all")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public_keys[key_id],
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except (jwt.InvalidTokenError, KeyError) as error:
            raise InvalidToken(type(error).__name__) from error
        if any(type(claims[name]) not in (int, float) for name in _TIMES if name in claims):
            raise InvalidToken("a time that is no number")
        # Cognito's access tokens name the client and have no audience; API Gateway takes either.
        audience = claims.get("aud", claims.get("client_id"))
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("audience")
        return claims


def _create(path: Path) -> None:
    """Write a new key to `path` at once, so that a kill in between leaves no half of one."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
