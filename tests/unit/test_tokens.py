"""Tests the local issuer: its tokens and the file of its key."""

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.gateway.tokens import AUDIENCE, ISSUER, ClaimNames, TokenKey, TokenKeyError
from shared.identity.key_set import KeySet
from shared.identity.token import Identity, verify
from shared.settings import AuthorizerSettings

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def key() -> TokenKey:
    return TokenKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def identity(key: TokenKey, token: str, **changes: str) -> Identity:
    """The caller, as the authorizer reads it from the token and the published keys."""
    values = {"jwt_issuer": ISSUER, "jwks_url": "file:///keys", "jwt_audience": AUDIENCE, "auth_database_url": ""}
    values |= {"operator_role": "operator", **changes}
    settings = AuthorizerSettings.model_validate({f"PANTHEON_{name.upper()}": text for name, text in values.items()})
    return verify(token, KeySet(lambda: json.dumps(key.jwks).encode()), settings)


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_the_authorizer_accepts_an_issued_token(key: TokenKey) -> None:
    token = key.issue("acme", "ada", ["member", "operator"], HOUR)
    assert identity(key, token) == Identity("ada", "acme", ("member", "operator"))


def test_an_issued_token_lasts_as_long_as_asked(key: TokenKey) -> None:
    said = claims(key.issue("acme", "ada", ["member"], HOUR))
    assert said["exp"] - said["iat"] == 3600
    assert said["nbf"] == said["iat"]


def test_roles_are_a_list(key: TokenKey) -> None:
    assert claims(key.issue("acme", "ada", ("crane operator",), HOUR))["roles"] == ["crane operator"]


def test_claims_have_the_configured_names(key: TokenKey) -> None:
    token = key.issue("acme", "ada", ["admin"], HOUR, ClaimNames("custom:tenant", "groups"))
    assert not {"tenant_id", "roles"} & set(claims(token))
    assert identity(key, token, tenant_claim="custom:tenant", roles_claim="groups").roles == ("admin",)


class TestKeyFile:
    def test_key_file_is_made_once_and_readable_only_by_its_owner(self, tmp_path: Path) -> None:
        made = TokenKey.load_or_create(tmp_path)
        (file,) = tmp_path.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert TokenKey.load_or_create(tmp_path).key_id == made.key_id
        token = made.issue("acme", "ada", ["member"], HOUR)
        assert identity(TokenKey.load(tmp_path), token).user == "ada"

    def test_missing_key_is_reported_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(TokenKeyError, match="no key"):
            TokenKey.load(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_file_without_an_rsa_key_is_reported(self, tmp_path: Path) -> None:
        TokenKey.load_or_create(tmp_path)
        (file,) = tmp_path.iterdir()
        elliptic = ec.generate_private_key(ec.SECP256R1())
        for content in (
            b"",
            b"-----BEGIN",
            elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ):
            file.write_bytes(content)
            with pytest.raises(TokenKeyError, match=file.name):
                TokenKey.load_or_create(tmp_path)

    def test_the_published_set_has_only_the_public_half(self, key: TokenKey) -> None:
        (published,) = key.jwks["keys"]
        assert set(published) == {"kty", "n", "e", "kid", "alg", "use"}
