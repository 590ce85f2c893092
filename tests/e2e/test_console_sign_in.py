"""Tests the console's sign-in without a browser: the issuer, a code with PKCE, and the token for the API."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.stack import Stack
from tests.support.oidc_server import CLIENT_ID, OidcServer, User
from tests.support.stack.tenant import environ, open_client

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class SignIn:
    """A stack whose console signs in by `issuer`, and the console's requests."""

    stack: Stack
    issuer: OidcServer

    @property
    def page(self) -> str:
        return f"{self.stack.url}/console/"

    def asked(self, **changes: str) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.page,
            "scope": "openid email",
            "state": "state",
            "nonce": "nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes

    def code(self) -> str:
        sent = httpx.post(f"{self.issuer.url}/authorize", params=self.asked(), data={"user": "ada"})
        returned = parse_qs(urlsplit(sent.headers["location"]).query)
        assert sent.headers["location"].startswith(f"{self.page}?")
        assert returned["state"] == ["state"]
        return returned["code"][0]

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.page, "client_id": CLIENT_ID}
        return httpx.post(f"{self.issuer.url}/token", data={**form, "code_verifier": VERIFIER, **changes})


@pytest.fixture(scope="module")
def sign_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignIn]:
    with OidcServer() as issuer:
        given = environ(tmp_path_factory.mktemp("signing"), llm_provider="scripted") | issuer.environ
        with Stack.start(given) as stack:
            issuer.sign = lambda user, claims, ttl: stack.token(user.tenant, user.name, user.roles, ttl, claims)
            yield SignIn(stack, issuer)


def test_the_console_is_told_where_to_sign_in(sign_in: SignIn) -> None:
    told = httpx.get(f"{sign_in.page}config.json")
    origin = sign_in.issuer.url
    assert told.json() | {"version": None} == {
        "stage": "local",
        "version": None,
        "issuer": "https://pantheon.localhost",
        "client_id": CLIENT_ID,
        "scope": "openid email",
        "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        "end_session_endpoint": f"{origin}/logout",
    }
    policy = told.headers["content-security-policy"]
    assert f"connect-src 'self' https://pantheon.localhost {origin};" in policy


def test_a_user_who_signs_in_uses_the_api(sign_in: SignIn) -> None:
    assert "<form" in httpx.get(f"{sign_in.issuer.url}/authorize", params=sign_in.asked()).text
    tokens = sign_in.exchange(sign_in.code()).json()
    with open_client(sign_in.stack.url, tokens["id_token"]) as http:
        me = http.get("auth/me").json()
    assert me == {"user_id": "ada", "tenant_id": "acme", "email": "ada@example.org", "roles": ["member", "admin"]}
    with open_client(sign_in.stack.url, tokens["access_token"]) as http:
        assert http.get("auth/me").status_code == 401


def test_a_refresh_token_gives_new_tokens_once(sign_in: SignIn) -> None:
    tokens = sign_in.exchange(sign_in.code()).json()
    renewing = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert "id_token" in sign_in.exchange("", **renewing).json()
    assert sign_in.exchange("", **renewing).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:1/console/"},
        {"client_id": "other"},
        {"client_secret": "secret"},
    ],
)
def test_code_is_refused_with_another_proof(sign_in: SignIn, changes: dict[str, str]) -> None:
    refused = sign_in.exchange(sign_in.code(), **changes)
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid_grant"})


def test_code_works_once(sign_in: SignIn) -> None:
    code = sign_in.code()
    assert sign_in.exchange(code).status_code == 200
    assert sign_in.exchange(code).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"redirect_uri": "https://attacker.example/console/"},
        {"state": ""},
        {"nonce": ""},
        {"scope": "email"},
    ],
)
def test_a_sign_in_without_pkce_or_to_another_place_is_refused(sign_in: SignIn, changes: dict[str, str]) -> None:
    asked = sign_in.asked(**changes)
    assert httpx.get(f"{sign_in.issuer.url}/authorize", params=asked).status_code == 400
    assert httpx.post(f"{sign_in.issuer.url}/authorize", params=asked, data={"user": "ada"}).status_code == 400


def test_a_user_signs_out_to_the_console(sign_in: SignIn) -> None:
    left = httpx.get(f"{sign_in.issuer.url}/logout", params={"client_id": CLIENT_ID, "logout_uri": sign_in.page})
    assert (left.status_code, left.headers["location"]) == (302, sign_in.page)
    assert sign_in.issuer.asked[-1].path == "/logout"


def test_another_user_has_the_roles_that_the_issuer_gives(sign_in: SignIn) -> None:
    sign_in.issuer.users["otto"] = User("otto", roles=("operator",))
    sent = httpx.post(f"{sign_in.issuer.url}/authorize", params=sign_in.asked(), data={"user": "otto"})
    code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]
    with open_client(sign_in.stack.url, sign_in.exchange(code).json()["id_token"]) as http:
        assert http.get("admin/usage").status_code == 200
