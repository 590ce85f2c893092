"""Tests how a token or an API key identifies its caller."""

import json
from typing import Any
from uuid import UUID

import pytest

from functions.authorizer import credentials, handler
from functions.authorizer.credentials import Authority
from local.gateway.worker import LambdaContext
from shared.db.engine import Database
from shared.db.identity import ApiKey
from shared.domain.api_key import hash_key, new_key
from shared.errors import DatabaseUnavailable
from shared.identity.key_set import KeySet, KeysUnavailable
from shared.identity.token import Identity, InvalidToken
from shared.settings import AuthorizerSettings
from tests.support.gateway import event
from tests.support.issuer import AUDIENCE, ISSUER, Issuer

OURS = Issuer("first")
KEY = new_key()
KEY_ID = UUID("019b7c8e-0000-7000-8000-00000000000a")
ARN = "arn:aws:execute-api:eu-central-1:123456789012:q9council7/live/GET/api/v1/auth/me"
VALUES = {
    "PANTHEON_JWT_ISSUER": ISSUER,
    "PANTHEON_JWT_AUDIENCE": AUDIENCE,
    "PANTHEON_JWKS_URL": "file:///nowhere.json",
    "PANTHEON_AUTH_DATABASE_URL": "postgresql://pantheon_auth@127.0.0.1:1/none",
}


class Keys:
    """Plays the table of keys; `looked_up` holds the requested hashes."""

    def __init__(self) -> None:
        self.looked_up: list[bytes] = []

    def find(self, _: Database, key_hash: bytes) -> ApiKey | None:
        self.looked_up.append(key_hash)
        return ApiKey(KEY_ID, "acme", "ada", "admin") if key_hash == hash_key(KEY) else None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Keys:
    keys = Keys()
    monkeypatch.setattr(credentials, "find_api_key", keys.find)
    return keys


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(table: Keys, clock: Clock) -> Authority:
    return make()


def make(clock: Clock | None = None, **changes: Any) -> Authority:
    values = AuthorizerSettings.model_validate(VALUES | changes)
    return Authority(values, KeySet(lambda: OURS.key_set), Database(values.auth_database_url), clock or Clock())


def sent(*authorization: str, name: str = "Authorization", **more: Any) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "multiValueHeaders": {name: list(authorization)},
        "requestContext": event("api_get")["requestContext"],
        **more,
    }


def refused(authority: Authority, asked: dict[str, Any]) -> str:
    with pytest.raises(InvalidToken) as refusal:
        authority.identify(asked)
    reason = str(refusal.value)
    # It goes into a header and a JSON text as it is.
    assert reason.isascii()
    assert not set('"\\\n') & set(reason)
    return reason


def test_token_names_its_caller(authority: Authority, table: Keys) -> None:
    token = OURS.token(roles=["member", "admin", "pilots"], email="ada@example.org")
    known = Identity("ada", "acme", ("member", "admin"), "ada@example.org")
    assert authority.identify(sent(f"Bearer {token}")) == known
    assert table.looked_up == []


def test_a_key_acts_as_its_creator_in_its_role(authority: Authority) -> None:
    assert authority.identify(sent(f"Bearer {KEY}")) == Identity("ada", "acme", ("admin",), None, str(KEY_ID))


@pytest.mark.parametrize("name", ["authorization", "AUTHORIZATION"])
def test_credential_is_accepted_in_any_case_of_header_and_scheme(authority: Authority, name: str) -> None:
    assert authority.identify(sent(f"bearer {OURS.token()}", name=name)).user == "ada"


@pytest.mark.parametrize(
    "key",
    [
        KEY[:-1],
        f"{KEY}x",
        f"{KEY}{KEY}",
        f"{KEY} ",
        f"{KEY},{KEY}",
        f"{KEY[:-1]}-",
        f"{KEY[:-1]}é",
        f"{KEY[:-1]}\n",
        "pan_",
        KEY.replace("pan_", "pan_pan_"),
    ],
    ids=lambda key: key.replace(KEY, "KEY").replace(KEY[:-1], "CUT").replace(KEY[4:], "REST"),
)
def test_a_key_of_another_form_is_refused_without_the_database(authority: Authority, table: Keys, key: str) -> None:
    assert refused(authority, sent(f"Bearer {key}")) == "The API key is malformed."
    assert table.looked_up == []


def test_an_unknown_key_is_looked_up_once_a_minute(table: Keys, clock: Clock) -> None:
    authority, unknown = make(clock), sent(f"Bearer {new_key()}")
    for _ in range(120):
        assert refused(authority, unknown) == "The API key is unknown, revoked or expired."
        clock.now += 1
    assert len(table.looked_up) == 2


def test_a_known_key_is_looked_up_every_time(authority: Authority, table: Keys) -> None:
    """API Gateway keeps the answer for a minute. A second memory here would let a revoked key live for two."""
    for _ in range(3):
        authority.identify(sent(f"Bearer {KEY}"))
    assert len(table.looked_up) == 3


def test_memory_of_unknown_keys_is_bounded(table: Keys, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_MOST_REMEMBERED", 3)
    authority = make(clock)
    keys = [new_key() for _ in range(10)]
    for key in keys:
        refused(authority, sent(f"Bearer {key}"))
    refused(authority, sent(f"Bearer {keys[-1]}"))
    assert len(table.looked_up) == 10
    refused(authority, sent(f"Bearer {keys[0]}"))
    assert len(table.looked_up) == 11


def test_credential_is_refused_outside_one_bearer_header(authority: Authority, table: Keys) -> None:
    for credential in (OURS.token(), KEY):
        for asked in (
            sent(f"Bearer {credential}", f"Bearer {credential}"),
            sent(f"Bearer {credential}", "Bearer nonsense"),
            sent(credential),
            sent(f"Basic {credential}"),
            sent(f"Bearer\t{credential}"),
            sent(f"Bearer  {credential}"),
            sent(""),
            sent("Bearer"),
            sent("Bearer "),
            sent(),
            sent(f"Bearer {credential}", name="Proxy-Authorization"),
            sent(f"Authorization=Bearer {credential}", name="Cookie"),
            sent(multiValueHeaders=None, queryStringParameters={"authorization": f"Bearer {credential}"}),
        ):
            refused(authority, asked)
    assert table.looked_up == []


def test_token_of_another_form_is_refused_as_malformed(authority: Authority) -> None:
    assert refused(authority, sent("Bearer a.b.c")) == "The token is malformed."


class TestPolicy:
    @pytest.fixture
    def decide(self, monkeypatch: pytest.MonkeyPatch, context: LambdaContext) -> Any:
        def decide(authority: Authority, asked: dict[str, Any]) -> dict[str, Any]:
            monkeypatch.setattr(handler, "authority", lambda: authority)
            return handler.handler(asked, context)

        return decide

    def test_a_caller_is_allowed_the_whole_stage(self, decide: Any, authority: Authority) -> None:
        answer = decide(authority, sent(f"Bearer {OURS.token(roles=['admin'])}"))
        (statement,) = answer["policyDocument"]["Statement"]
        assert statement == {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": "arn:aws:execute-api:eu-central-1:123456789012:q9council7/live/*",
        }
        assert answer["principalId"] == "ada"
        told = {"user": "ada", "tenant": "acme", "roles": '["admin"]', "key_id": "", "email": ""}
        assert answer["context"] == told

    def test_a_refusal_is_a_deny_with_its_reason(self, decide: Any, authority: Authority) -> None:
        answer = decide(authority, sent("Bearer nonsense"))
        assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
        assert answer["context"] == {
            "reason": "The token is malformed.",
            "challenge": 'Bearer error="invalid_token", error_description="The token is malformed."',
        }

    @pytest.mark.parametrize("fault", [KeysUnavailable(), DatabaseUnavailable(), RuntimeError("secret")])
    def test_fault_while_deciding_is_raised_and_not_denied(
        self, decide: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch, fault: Exception, log_lines: Any
    ) -> None:
        def fail(_: Any) -> Identity:
            raise fault

        monkeypatch.setattr(authority, "identify", fail)
        with pytest.raises(type(fault)):
            decide(authority, sent("Bearer x"))
        (line,) = log_lines()
        assert line["message"] == "caller not identified"
        assert "secret" not in json.dumps(line)
