"""Tests an attacker's tokens, each sent over HTTP to the deployed authorizer: 401 with its reason."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from local.gateway.tokens import AUDIENCE, ISSUER, TokenKey
from local.stack import Stack
from tests.support.stack.forge import Forge, encode, segment, swapped

Headers = list[tuple[bytes, bytes]]
YEAR_S: Final = 365 * 24 * 3600


def now() -> int:
    return int(time.time())


ALGORITHMS: dict[str, Callable[[Forge], str]] = {
    **{
        f"alg {name!r}": partial(Forge.unsigned, algorithm=name)
        for name in ("none", "None", "NONE", "nOnE", "", " none")
    },
    "alg none with a signature": lambda f: f.unsigned("none", segment(b"signed")),
    "alg none under our signature": lambda f: swapped(f.good(), 0, segment(encode(f.header(alg="none")))),
    "alg null": lambda f: f.unsigned(None, segment(b"x")),
    "alg a list": lambda f: f.signed(head=f.header(alg=["RS256", "none"])),
    "alg in lower case": lambda f: f.signed(head=f.header(alg="rs256")),
    "no alg": lambda f: f.signed(head=f.header(alg=...)),
    "HS256 with the public key in PEM": lambda f: f.by_hmac("HS256", f.public(Encoding.PEM)),
    "HS256 with the public key in DER": lambda f: f.by_hmac("HS256", f.public(Encoding.DER)),
    "HS512 with the public key in PEM": lambda f: f.by_hmac("HS512", f.public(Encoding.PEM)),
    "HS256 with an empty secret": lambda f: f.by_hmac("HS256", b""),
    "HS256 with the key id": lambda f: f.by_hmac("HS256", f.kid.encode()),
    "RS384 with our key": lambda f: f.by_algorithm("RS384"),
    "RS384 with another key": lambda f: f.by_algorithm("RS384", f.theirs),
    "PS256 with our key": lambda f: f.by_algorithm("PS256"),
    "ES256": lambda f: f.by_algorithm("ES256", ec.generate_private_key(ec.SECP256R1())),
    "an encrypted token": lambda f: f.jwe(),
}
KEYS: dict[str, Callable[[Forge], str]] = {
    "another key under our key id": lambda f: f.signed(f.theirs),
    "an embedded jwk": lambda f: f.with_their_key(jwk=f.their_jwk()),
    "an embedded jwk without a key id": lambda f: f.with_their_key(jwk=f.their_jwk(), kid=...),
    "a jku": lambda f: f.with_their_key(jku="http://127.0.0.1:1/jwks.json"),
    "an x5u": lambda f: f.with_their_key(x5u="http://127.0.0.1:1/chain.pem"),
    "an x5c": lambda f: f.with_their_key(x5c=[segment(b"certificate")]),
    "no key id": lambda f: f.signed(head=f.header(kid=...)),
    "another key id": lambda f: f.signed(head=f.header(kid="another")),
    "a key id in another case": lambda f: f.signed(head=f.header(kid=f.kid.swapcase())),
    "a key id that is a path": lambda f: f.with_their_key(kid="../../../../dev/null"),
    "a key id that is a query": lambda f: f.with_their_key(kid="x' UNION SELECT 'secret' --"),
    "a key id that is a list": lambda f: f.signed(head=f.header(kid=[f.kid])),
    "a key id that is null": lambda f: f.signed(head=f.header(kid=None)),
    "a critical extension": lambda f: f.signed(head=f.header(crit=["exp"], exp=1)),
    "an unencoded payload": lambda f: f.signed(head=f.header(crit=["b64"], b64=False)),
}
CLAIMS: dict[str, Callable[[Forge], str]] = {
    "another issuer": lambda f: f.signed(iss="https://elsewhere.example"),
    "our issuer with a slash": lambda f: f.signed(iss=f"{ISSUER}/"),
    "no issuer": lambda f: f.signed(iss=...),
    "a list of issuers": lambda f: f.signed(iss=[ISSUER]),
    "another audience": lambda f: f.signed(aud="another"),
    "an audience that ours begins": lambda f: f.signed(aud=f"{AUDIENCE}-2"),
    "ours among others, in one string": lambda f: f.signed(aud=f"another {AUDIENCE}"),
    "no audience": lambda f: f.signed(aud=...),
    "an empty audience beside our client id": lambda f: f.signed(aud=[], client_id=AUDIENCE),
    "an audience that is an object": lambda f: f.signed(aud={AUDIENCE: True}),
    "another client id": lambda f: f.signed(aud=..., client_id="another"),
    "our client id beside another audience": lambda f: f.signed(aud="another", client_id=AUDIENCE),
    "expired since more than a minute": lambda f: f.signed(exp=now() - 62),
    "expired since a year": lambda f: f.signed(exp=now() - YEAR_S),
    "never expiring": lambda f: f.signed(exp=...),
    "exp null": lambda f: f.signed(exp=None),
    "exp a string": lambda f: f.signed(exp=str(now() + 60)),
    "exp infinite": lambda f: f.signed(exp=float("inf")),
    "exp NaN": lambda f: f.signed(exp=float("nan")),
    "exp a list": lambda f: f.signed(exp=[now() + 60]),
    "exp true": lambda f: f.signed(exp=True),
    "not yet valid": lambda f: f.signed(nbf=now() + 90),
    "valid in a year": lambda f: f.signed(nbf=now() + YEAR_S),
    "nbf a string": lambda f: f.signed(nbf="0"),
    "nbf false": lambda f: f.signed(nbf=False),
    "issued in the future": lambda f: f.signed(iat=now() + YEAR_S),
    "iat an object": lambda f: f.signed(iat={}),
    "an access token of Cognito's": lambda f: f.signed(token_use="access"),
    "an access token of Cognito's, as it is": lambda f: f.signed(token_use="access", aud=..., client_id=AUDIENCE),
    "no audience but our client id": lambda f: f.signed(aud=..., client_id=AUDIENCE),
    "sub a number": lambda f: f.signed(sub=1),
    "sub a list": lambda f: f.signed(sub=["ada"]),
    "sub null": lambda f: f.signed(sub=None),
}
SHAPES: dict[str, Callable[[Forge], str]] = {
    "two dots": lambda _: "..",
    "three words": lambda _: "header.payload.signature",
    "without its signature": lambda f: swapped(f.good(), 2, ""),
    "with another token's signature": lambda f: swapped(f.good(), 2, f.signed(sub="eve").split(".")[2]),
    "with another payload": lambda f: swapped(f.good(), 1, segment(encode(f.claims(tenant_id="globex")))),
    "a fourth part": lambda f: f"{f.good()}.x",
    "the last letter changed": lambda f: f.good()[:-2] + ("A" if f.good()[-2] != "A" else "B") + f.good()[-1],
    "padded": lambda f: f"{f.good()}==",
    "a blank before": lambda f: f" {f.good()}",
    "a blank within": lambda f: swapped(f.good(), 1, " " + f.good().split(".")[1]),
    "a payload that is a list": lambda f: f.signed_bytes(b"[]"),
    "a payload that is no JSON": lambda f: f.signed_bytes(b"\xff"),
    "a payload that nests without end": lambda f: f.signed_bytes(b"[" * 3000),
    "a header that is a list": lambda f: f.signed(head=[]),
    "a header that nests without end": lambda f: swapped(f.good(), 0, segment(b"[" * 3000)),
    "two tokens": lambda f: f"{f.good()}, {f.good()}",
    "over 8 KB, in its claims": lambda f: f.signed(padding="x" * 6200),
    "over 8 KB, in its header": lambda f: f.signed(head=f.header(padding="x" * 6200)),
}
ATTACKS = ALGORITHMS | KEYS | CLAIMS | SHAPES
# Our issuer signed it for us and in time, but it has no user or no tenant.
NOBODY: dict[str, dict[str, Any]] = {
    "no sub": {"sub": ...},
    "an empty sub": {"sub": ""},
    "a long sub": {"sub": "x" * 256},
    "a sub with NUL": {"sub": "ada\0"},
    "a sub that turns its direction": {"sub": "ada\u202e"},
    "no tenant": {"tenant_id": ...},
    "an empty tenant": {"tenant_id": ""},
    "a personal tenant of somebody else": {"tenant_id": "user:eve"},
    "a list of tenants": {"tenant_id": ["acme", "globex"]},
    "a list of one tenant": {"tenant_id": ["acme"]},
    "a tenant that is an object": {"tenant_id": {"id": "acme"}},
    "a tenant that is null": {"tenant_id": None},
    "a long tenant": {"tenant_id": "x" * 256},
    "a tenant of two lines": {"tenant_id": "acme\nglobex"},
}


@pytest.fixture(scope="module")
def forge(stack: Stack) -> Forge:
    (pem,) = stack.log_dir.parent.glob("*.pem")
    ours = load_pem_private_key(pem.read_bytes(), password=None)
    assert isinstance(ours, rsa.RSAPrivateKey)
    return Forge(ours, rsa.generate_private_key(public_exponent=65537, key_size=2048), TokenKey(ours).key_id)


def ask(stack: Stack, headers: Headers, query: str = "") -> httpx.Response:
    return httpx.get(f"{stack.url}/api/v1/auth/me{query}", headers=headers)


def bearer(token: str) -> Headers:
    return [(b"authorization", f"Bearer {token}".encode())]


def assert_refused(answer: httpx.Response) -> str:
    """Check the reason of the refusal, which is also in the challenge; a request without a token gets neither."""
    assert answer.status_code == 401
    (message,) = answer.json().values()
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    assert answer.headers["www-authenticate"] == ("Bearer" if message == "Unauthorized" else challenge)
    return str(message)


def test_the_token_that_every_attack_starts_from_is_accepted(stack: Stack, forge: Forge) -> None:
    """Without this test, the refusals would prove nothing."""
    for token in (forge.good(), forge.signed(padding="x" * 5000), forge.signed(iat=...), forge.signed(nbf=0)):
        answer = ask(stack, bearer(token))
        assert (answer.status_code, answer.json()["tenant_id"]) == (200, "acme")


@pytest.mark.parametrize("attack", ATTACKS)
def test_forged_token_is_401(stack: Stack, forge: Forge, attack: str) -> None:
    assert_refused(ask(stack, bearer(ATTACKS[attack](forge))))


SENT: dict[str, Callable[[str], Headers]] = {
    "twice": lambda token: bearer(token) * 2,
    "twice, once as garbage": lambda token: [*bearer(token), *bearer("garbage")],
    "garbage first": lambda token: [*bearer("garbage"), *bearer(token)],
    "not at all": lambda _: [],
    "as nothing": lambda _: [(b"authorization", b"")],
    "as nothing but a scheme": lambda _: [(b"authorization", b"Bearer")],
    "as a bare token": lambda token: [(b"authorization", token.encode())],
    "as Basic": lambda token: [(b"authorization", f"Basic {token}".encode())],
    "as Basic, encoded": lambda token: [(b"authorization", b"Basic " + urlsafe_b64encode(token.encode()))],
    "as DPoP": lambda token: [(b"authorization", f"DPoP {token}".encode())],
    "after a tab": lambda token: [(b"authorization", f"Bearer\t{token}".encode())],
    "after two blanks": lambda token: [(b"authorization", f"Bearer  {token}".encode())],
    "as a parameter": lambda token: [(b"authorization", f'Bearer token="{token}"'.encode())],
    "with a letter that is no ASCII": lambda token: [(b"authorization", f"Bearer {token}é".encode())],
    "with a full-width dot": lambda token: [(b"authorization", f"Bearer {token}".replace(".", "．").encode())],
    "to a proxy": lambda token: [(b"proxy-authorization", f"Bearer {token}".encode())],
    "as a cookie": lambda token: [(b"cookie", f"authorization={token}; token={token}".encode())],
    "in a header of its own": lambda token: [(b"x-access-token", token.encode())],
    "as the authorizer's word": lambda _: [(b"x-amzn-request-context", encode({"authorizer": {"user": "ada"}}))],
}


@pytest.mark.parametrize("sent", SENT)
def test_a_good_token_counts_only_in_its_one_place(stack: Stack, forge: Forge, sent: str) -> None:
    assert_refused(ask(stack, SENT[sent](forge.good())))


def test_a_good_token_does_not_count_in_the_query(stack: Stack, forge: Forge) -> None:
    for name in ("access_token", "token", "authorization"):
        assert_refused(ask(stack, [], f"?{name}={forge.good()}"))


def test_headers_that_are_too_long_are_refused_whatever_the_token(stack: Stack, forge: Forge) -> None:
    answer = ask(stack, bearer(forge.signed(padding="x" * 9000)))
    assert (answer.status_code, answer.json()) == (431, {"message": "Request Header Fields Too Large"})


@pytest.mark.parametrize("said", NOBODY)
def test_token_without_a_user_or_tenant_is_401_with_its_reason(stack: Stack, forge: Forge, said: str) -> None:
    reason = assert_refused(ask(stack, bearer(forge.signed(**NOBODY[said]))))
    assert "user" in reason or "tenant" in reason or "sub" in reason


def test_token_is_accepted_with_a_minute_between_the_clocks(stack: Stack, forge: Forge) -> None:
    for token in (forge.signed(exp=now() - 45), forge.signed(nbf=now() + 45), forge.signed(iat=now() + 45)):
        assert ask(stack, bearer(token)).status_code == 200
