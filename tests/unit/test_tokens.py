import json
import stat
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from local.gateway.tokens import AUDIENCE, ISSUER, MAX_TOKEN_LENGTH, InvalidToken, TokenKey, TokenKeyError

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def key(private_key: rsa.RSAPrivateKey) -> TokenKey:
    return TokenKey(private_key)


def claims(**changes: Any) -> dict[str, Any]:
    """What a valid token says; a change to None leaves the claim out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 60} | changes
    return {name: value for name, value in said.items() if value is not None}


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def assert_refused(key: TokenKey, token: str) -> None:
    with pytest.raises(InvalidToken):
        key.verify(token)


def test_an_issued_token_is_accepted_and_says_who_calls(key: TokenKey) -> None:
    verified = key.verify(key.issue("acme", "ada", ["member", "admin"], HOUR))
    assert (verified["tenant_id"], verified["sub"], verified["roles"]) == ("acme", "ada", ["member", "admin"])
    assert verified["exp"] - verified["iat"] == 3600


class TestForgeries:
    def sign(self, private_key: rsa.RSAPrivateKey, key: TokenKey, **changes: Any) -> str:
        return jwt.encode(claims(**changes), private_key, "RS256", headers={"kid": key.key_id})

    def test_the_token_that_every_forgery_starts_from_is_accepted(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey
    ) -> None:
        assert key.verify(self.sign(private_key, key))["sub"] == "ada"

    def test_a_changed_payload_is_refused(self, key: TokenKey) -> None:
        header, _, signature = key.issue("acme", "ada", ["member"], HOUR).split(".")
        assert_refused(key, f"{header}.{segment(claims(tenant_id='other'))}.{signature}")

    def test_another_key_is_refused_even_under_our_key_id(self, key: TokenKey) -> None:
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert_refused(key, self.sign(stranger, key))

    def test_no_signature_is_refused(self, key: TokenKey) -> None:
        header = segment({"alg": "none", "typ": "JWT", "kid": key.key_id})
        assert_refused(key, f"{header}.{segment(claims())}.")

    def test_the_public_key_as_an_hmac_secret_is_refused(self, private_key: rsa.RSAPrivateKey, key: TokenKey) -> None:
        public = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': key.key_id})}.{segment(claims())}"
        signature = urlsafe_b64encode(hmac.sign(signed.encode(), public)).rstrip(b"=").decode()
        assert_refused(key, f"{signed}.{signature}")

    @pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
    def test_our_key_with_another_algorithm_is_refused(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey, algorithm: str
    ) -> None:
        assert_refused(key, jwt.encode(claims(), private_key, algorithm, headers={"kid": key.key_id}))

    @pytest.mark.parametrize("headers", [{}, {"kid": "other"}, {"kid": ""}])
    def test_an_unknown_or_missing_key_id_is_refused(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey, headers: dict[str, str]
    ) -> None:
        assert_refused(key, jwt.encode(claims(), private_key, "RS256", headers=headers))

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://elsewhere.example"},
            {"iss": None},
            {"aud": "somebody-else"},
            {"aud": ["somebody", "else"]},
            {"aud": None},
            {"aud": None, "client_id": "somebody-else"},
            {"aud": "somebody-else", "client_id": AUDIENCE},
            {"exp": 1},
            {"exp": None},
            {"exp": "tomorrow"},
            {"nbf": 99_999_999_999},
            {"iat": 99_999_999_999},
        ],
        ids=str,
    )
    def test_a_wrong_claim_is_refused(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey, changes: dict[str, Any]
    ) -> None:
        assert_refused(key, self.sign(private_key, key, **changes))

    @pytest.mark.parametrize(
        "changes", [{"aud": ["somebody", AUDIENCE]}, {"aud": None, "client_id": AUDIENCE}], ids=str
    )
    def test_an_audience_in_a_list_or_as_client_id_is_accepted(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey, changes: dict[str, Any]
    ) -> None:
        assert key.verify(self.sign(private_key, key, **changes))["sub"] == "ada"

    def test_an_overlong_token_is_refused_though_it_is_ours(
        self, private_key: rsa.RSAPrivateKey, key: TokenKey
    ) -> None:
        token = self.sign(private_key, key, padding="x" * MAX_TOKEN_LENGTH)
        assert_refused(key, token)

    @pytest.mark.parametrize(
        "token",
        ["", ".", "..", "...", "a.b.c", "ü.ü.ü", "\udcff.e30.e30", f"{'[' * 3000}.e30.e30"],
        ids=ascii,
    )
    def test_garbage_is_refused(self, key: TokenKey, token: str) -> None:
        assert_refused(key, token)

    @pytest.mark.parametrize("header", [[], "x", 1, None, {"alg": 1, "kid": 1}, {"kid": ["x"]}, {"kid": {}}], ids=str)
    def test_a_header_of_the_wrong_shape_is_refused(self, key: TokenKey, header: object) -> None:
        assert_refused(key, f"{segment(header)}.{segment(claims())}.e30")

    def test_a_header_that_nests_without_end_is_refused(self, key: TokenKey) -> None:
        header = urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
        assert_refused(key, f"{header}.{segment(claims())}.e30")


class TestKeyFile:
    def test_it_is_made_once_and_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        made = TokenKey.load_or_create(tmp_path)
        (file,) = tmp_path.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert TokenKey.load_or_create(tmp_path).key_id == made.key_id
        assert TokenKey.load(tmp_path).verify(made.issue("acme", "ada", ["member"], HOUR))["sub"] == "ada"

    def test_a_missing_key_is_told_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(TokenKeyError, match="no key"):
            TokenKey.load(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_file_that_is_no_rsa_key_is_told(self, tmp_path: Path) -> None:
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

    def test_the_published_set_has_the_public_half_alone(self, key: TokenKey) -> None:
        (published,) = key.jwks["keys"]
        assert set(published) == {"kty", "n", "e", "kid", "alg", "use"}
