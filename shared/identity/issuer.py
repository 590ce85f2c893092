"""Read an issuer's key set through its discovery document (OpenID Connect Discovery 1.0)."""

import json
from urllib.parse import urlsplit

import httpx

from shared.aws.jwks_store import MAX_BYTES
from shared.identity.key_set import public_keys

_TIMEOUT_S = 5.0


class IssuerUnavailable(Exception):
    """The issuer does not answer as an OpenID Connect issuer. The text is one line and names no key."""


def fetch_key_set(issuer: str, client: httpx.Client | None = None) -> bytes:
    """Return the public parts of the issuer's signing keys as a JWKS document.

    Raises IssuerUnavailable, and InvalidKeySet for a document without a usable key."""
    with client or httpx.Client(timeout=_TIMEOUT_S) as http:
        discovered = _json(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if discovered.get("issuer") != issuer:
            raise IssuerUnavailable("The discovery document is another issuer's.")
        address = str(discovered.get("jwks_uri", ""))
        if urlsplit(address).scheme != urlsplit(issuer).scheme:
            raise IssuerUnavailable("The key set's URL has another scheme than the issuer's.")
        return json.dumps({"keys": public_keys(_body(http, address))}).encode()


def _json(http: httpx.Client, address: str) -> dict[str, object]:
    try:
        document = json.loads(_body(http, address))
    except (ValueError, RecursionError) as error:
        raise IssuerUnavailable("The discovery document is not JSON.") from error
    if not isinstance(document, dict):
        raise IssuerUnavailable("The discovery document is not an object.")
    return document


def _body(http: httpx.Client, address: str) -> bytes:
    """Return the body at `address`, cut off shortly after MAX_BYTES."""
    body = bytearray()
    try:
        with http.stream("GET", address) as response:
            if response.status_code != 200:
                raise IssuerUnavailable(f"The issuer answers with status {response.status_code}.")
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(f"The issuer cannot be reached: {type(error).__name__}.") from error
    return bytes(body)
