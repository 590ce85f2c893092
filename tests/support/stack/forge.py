"""Makes an attacker's tokens, and tokens that only our issuer could sign."""

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from local.gateway.tokens import AUDIENCE, ISSUER


@dataclass
class Forge:
    """Holds an attacker's material: a good token, the public key and its own keys.

    An attacker does not have `ours`, the private key, with which the issuer signs forbidden tokens for tests.
    """

    ours: rsa.RSAPrivateKey
    theirs: rsa.RSAPrivateKey
    kid: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token with `changes`; the value `...` leaves a claim out."""
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "tenant_id": "acme", "iat": now, "exp": now + 60}
        return {name: value for name, value in (said | changes).items() if value is not ...}

    def header(self, **changes: Any) -> dict[str, Any]:
        said = {"alg": "RS256", "typ": "JWT", "kid": self.kid} | changes
        return {name: value for name, value in said.items() if value is not ...}

    def good(self) -> str:
        return self.signed()

    def signed(self, key: rsa.RSAPrivateKey | None = None, head: object = None, **claims: Any) -> str:
        """A token of these claims that `key` signed, ours by default, with RS256 whatever its header says."""
        return self.signed_bytes(encode(self.claims(**claims)), key, head)

    def signed_bytes(self, payload: bytes, key: rsa.RSAPrivateKey | None = None, head: object = None) -> str:
        text = f"{segment(encode(self.header() if head is None else head))}.{segment(payload)}"
        return f"{text}.{segment(RSAAlgorithm(RSAAlgorithm.SHA256).sign(text.encode(), key or self.ours))}"

    def unsigned(self, algorithm: object, signature: str = "") -> str:
        return f"{segment(encode(self.header(alg=algorithm)))}.{segment(encode(self.claims()))}.{signature}"

    def by_hmac(self, algorithm: str, secret: bytes) -> str:
        hashes = {"HS256": jwt.algorithms.HMACAlgorithm.SHA256, "HS512": jwt.algorithms.HMACAlgorithm.SHA512}
        text = self.unsigned(algorithm).removesuffix(".")
        return f"{text}.{segment(jwt.algorithms.HMACAlgorithm(hashes[algorithm]).sign(text.encode(), secret))}"

    def public(self, encoding: Encoding) -> bytes:
        return self.ours.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def with_their_key(self, **header: Any) -> str:
        """Signed by the attacker, with a header that says where its key is to be found."""
        return self.signed(self.theirs, self.header(**header))

    def by_algorithm(self, algorithm: str, key: Any = None) -> str:
        return jwt.encode(self.claims(), key or self.ours, algorithm, headers={"kid": self.kid})

    def their_jwk(self) -> dict[str, Any]:
        return {**RSAAlgorithm.to_jwk(self.theirs.public_key(), as_dict=True), "kid": self.kid, "alg": "RS256"}

    def jwe(self) -> str:
        head = self.header(alg="RSA-OAEP", enc="A256GCM")
        return ".".join([segment(encode(head)), *(segment(b"x" * 24) for _ in range(4))])


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def segment(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def swapped(token: str, part: int, value: str) -> str:
    parts = token.split(".")
    parts[part] = value
    return ".".join(parts)
