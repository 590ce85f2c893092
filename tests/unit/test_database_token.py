"""Tests that the sign-in token of a database role equals botocore's, and which URLs need one."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.aws.database_token import CredentialsUnavailable, database_token
from shared.db.address import Address

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
HOST = "pantheon.c1a2b3.eu-central-1.rds.amazonaws.com"
NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def botocores(user: str, session: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token that botocore signs, at the same moment."""
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    signer = auth.SigV4QueryAuth(Credentials("AKID", "secret", session), "rds-db", "eu-central-1", expires=900)
    request = AWSRequest("GET", f"https://{HOST}:5432/", params={"Action": "connect", "DBUser": user})
    signer.add_auth(request)
    return str(request.prepare().url).removeprefix("https://")


@pytest.mark.parametrize("session", [None, "a/session+token=="], ids=str)
@pytest.mark.parametrize("user", ["pantheon_app", "with space/and+more"])
def test_token_equals_the_one_of_botocore(monkeypatch: pytest.MonkeyPatch, user: str, session: str | None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if session:
        monkeypatch.setenv("AWS_SESSION_TOKEN", session)
    ours = urlsplit("//" + database_token(HOST, 5432, user, "eu-central-1", NOW))
    theirs = urlsplit("//" + botocores(user, session, monkeypatch))
    assert (ours.netloc, ours.path) == (theirs.netloc, theirs.path) == (f"{HOST}:5432", "/")
    assert dict(parse_qsl(ours.query)) == dict(parse_qsl(theirs.query))
    assert len(dict(parse_qsl(ours.query))["X-Amz-Signature"]) == 64


def test_a_token_is_for_one_role_at_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    places = [
        (HOST, "a", "eu-central-1"),
        ("other", "a", "eu-central-1"),
        (HOST, "b", "eu-central-1"),
        (HOST, "a", "x"),
    ]
    tokens = {database_token(host, 5432, user, region, NOW)[-64:] for host, user, region in places}
    assert len(tokens) == len(places)


def test_token_is_refused_without_credentials() -> None:
    with pytest.raises(CredentialsUnavailable):
        database_token(HOST, 5432, "pantheon_app", "eu-central-1")


class TestAddress:
    URL = "postgresql://pantheon_app@db.example:5432/pantheon?sslmode=verify-full&sslrootcert=/opt/rds-ca.pem"

    def test_url_without_our_parameters_is_unchanged(self) -> None:
        url = "postgresql://app:p%40ss@127.0.0.1:5433/postgres?application_name=a%20b"
        assert Address.parse(url) == Address(url, None, prepares=True)
        assert Address.parse(url).password() is None

    def test_url_loses_our_parameters(self) -> None:
        assert Address.parse(f"{self.URL}&iam=eu-central-1") == Address(self.URL, "eu-central-1", prepares=True)
        assert Address.parse(f"{self.URL}&iam=eu-central-1&prepare=off").prepares is False
        assert Address.parse(f"{self.URL}&prepare=off") == Address(self.URL, None, prepares=False)

    def test_the_password_is_a_token_for_this_role_at_this_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        token = Address.parse(f"{self.URL}&iam=eu-central-1").password()
        assert token is not None
        assert token.startswith("db.example:5432/?Action=connect&DBUser=pantheon_app&")
