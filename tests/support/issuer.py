"""Plays an issuer of tokens: RSA keys with ids, its key set, and tokens signed with them."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "council"


class Issuer:
    """`key_set` is the JWKS document with the public half of every key."""

    def __init__(self, *key_ids: str) -> None:
        self.keys = {key_id: rsa.generate_private_key(public_exponent=65537, key_size=2048) for key_id in key_ids}

    @property
    def key_set(self) -> bytes:
        return json.dumps({"keys": [self.jwk(key_id) for key_id in self.keys]}).encode()

    def jwk(self, key_id: str) -> dict[str, Any]:
        public = RSAAlgorithm.to_jwk(self.keys[key_id].public_key(), as_dict=True)
        return {**public, "kid": key_id, "alg": "RS256", "use": "sig"}

    def token(self, key_id: str | None = None, **changes: Any) -> str:
        """A good token of this issuer; a change to `...` leaves the claim out."""
        key_id = key_id or next(iter(self.keys))
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "tenant_id": "acme", "iat": now, "exp": now + 600}
        claims = {name: value for name, value in (said | changes).items() if value is not ...}
        return jwt.encode(claims, self.keys[key_id], algorithm="RS256", headers={"kid": key_id})
