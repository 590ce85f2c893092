"""Tests which keys of the issuer are accepted, and when they are read again."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.aws.jwks_store import MAX_BYTES
from shared.identity.key_set import InvalidKeySet, KeySet, KeysUnavailable, parse, public_keys
from tests.support.issuer import Issuer

OURS = Issuer("first", "second")


class Store:
    """A document that can be missing, and how often it was read."""

    def __init__(self, document: bytes | None) -> None:
        self.document = document
        self.reads = 0

    def read(self) -> bytes:
        self.reads += 1
        if self.document is None:
            raise FileNotFoundError("jwks.json")
        return self.document


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_keys_are_read_once_for_many_tokens(clock: Clock) -> None:
    store = Store(OURS.key_set)
    keys = KeySet(store.read, clock)
    found = [keys.find("first") for _ in range(100)]
    assert found[0] is not None
    assert (len({id(key) for key in found}), store.reads) == (1, 1)


def test_unknown_key_ids_read_the_set_once_a_minute(clock: Clock) -> None:
    store = Store(OURS.key_set)
    keys = KeySet(store.read, clock)
    for _ in range(60 * 5):
        assert keys.find("unknown") is None
        clock.now += 1
    assert store.reads == 5


def test_a_new_key_is_found_within_a_minute(clock: Clock) -> None:
    store = Store(OURS.key_set)
    keys = KeySet(store.read, clock)
    keys.find("first")
    rotated = Issuer("third")
    store.document = rotated.key_set
    assert keys.find("third") is None
    clock.now += 60
    assert keys.find("third") is not None


def test_a_key_that_was_taken_away_is_forgotten_within_five_minutes(clock: Clock) -> None:
    store = Store(OURS.key_set)
    keys = KeySet(store.read, clock)
    assert keys.find("first") is not None
    store.document = Issuer("third").key_set
    clock.now += 299
    assert keys.find("first") is not None
    clock.now += 1
    assert keys.find("first") is None


def test_no_key_is_known_before_the_set_exists(clock: Clock) -> None:
    store = Store(None)
    keys = KeySet(store.read, clock)
    for _ in range(100):
        with pytest.raises(KeysUnavailable):
            keys.find("first")
    assert store.reads == 1
    store.document = OURS.key_set
    clock.now += 2
    assert keys.find("first") is not None


@pytest.mark.parametrize(
    "broken", [None, b"", b"{}", b"[" * 5000, b'{"keys": []}', b"\xff", b" " * (MAX_BYTES + 1), b'{"keys": 1}']
)
def test_known_keys_stay_when_the_set_cannot_be_read(clock: Clock, broken: bytes | None) -> None:
    store = Store(OURS.key_set)
    keys = KeySet(store.read, clock)
    keys.find("first")
    store.document = broken
    clock.now += 3600
    assert keys.find("first") is not None
    assert store.reads == 2


def changed(**members: Any) -> bytes:
    return json.dumps({"keys": [OURS.jwk("first") | members]}).encode()


def small() -> bytes:
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    return json.dumps({"keys": [{**weak, "kid": "first", "alg": "RS256", "use": "sig"}]}).encode()


@pytest.mark.parametrize(
    "document",
    [
        lambda: changed(kty="oct", k="c2VjcmV0"),
        lambda: changed(use="enc"),
        lambda: changed(alg="HS256"),
        lambda: changed(alg="RS512"),
        lambda: changed(kid=None),
        lambda: changed(kid=["first"]),
        lambda: changed(n="AQAB"),
        lambda: changed(n=7),
        lambda: changed(e=None),
        small,
        lambda: b'{"keys": ["first"]}',
        lambda: b'{"keys": [{"kty": "RSA", "kid": "first"}]}',
    ],
)
def test_key_that_is_not_for_signatures_is_left_out(document: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidKeySet):
        parse(document())


def test_usable_key_is_taken_from_a_set_with_unusable_ones() -> None:
    keys = [{"kty": "EC", "kid": "elliptic", "crv": "P-256", "x": "", "y": ""}, OURS.jwk("second"), "nonsense"]
    keys.append({"kty": "RSA", "kid": "chain", "x5c": ["a"]})
    assert set(parse(json.dumps({"keys": keys}).encode())) == {"second"}


def test_key_set_keeps_only_public_parts() -> None:
    private = RSAAlgorithm.to_jwk(OURS.keys["first"], as_dict=True)
    (kept,) = public_keys(json.dumps({"keys": [{**private, "kid": "first", "x5c": ["chain"]}]}).encode())
    assert set(kept) == {"kty", "use", "alg", "kid", "n", "e"}
