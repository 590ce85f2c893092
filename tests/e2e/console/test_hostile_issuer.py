"""Tests links and answers by which an issuer would sign a user in as another one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.stack import Stack
from tests.e2e.console.test_hostile_sign_in import paste
from tests.support.oidc_server import OidcServer, User
from tests.support.pages.console import Console, opened
from tests.support.stack.tenant import environ, open_client

_STORED = "JSON.stringify({...sessionStorage})"


@dataclass(frozen=True)
class SignIn:
    """A stack whose console signs in by an issuer, which knows ada and bob."""

    stack: Stack
    issuer: OidcServer


@pytest.fixture(scope="module")
def sign_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignIn]:
    with OidcServer() as issuer:
        issuer.users["bob"] = User("bob")
        given = environ(tmp_path_factory.mktemp("issuer"), llm_provider="scripted") | issuer.environ
        with Stack.start(given) as stack:
            issuer.sign = lambda user, claims, ttl: stack.token(user.tenant, user.name, user.roles, ttl, claims)
            yield SignIn(stack, issuer)


def _log_in(page: Page, user: str) -> None:
    """Answer the issuer's form."""
    page.get_by_label("User name").fill(user)
    page.get_by_role("button", name="Sign in").click()


def _go(console: Console, user: str) -> None:
    console.page.get_by_role("button", name="Sign in", exact=True).click()
    _log_in(console.page, user)


def test_a_link_asks_before_it_signs_in_where_an_issuer_does(chromium: Browser, sign_in: SignIn) -> None:
    token = sign_in.stack.token(tenant="evil", user="mallory")
    with opened(chromium, sign_in.stack.url) as console:
        console.open(f"#token={token}")
        page = console.page
        expect(page.get_by_role("alert")).to_contain_text("sign you in as mallory of the tenant evil")
        assert token not in page.url
        assert page.evaluate(_STORED) == "{}"
        page.get_by_role("button", name="Ignore the link").click()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()
        paste(page, sign_in.stack.token(tenant="acme", user="ada"))
        expect(page.get_by_text("Tenant acme")).to_be_visible()
        # In an open tab, the link only changes the fragment, so nothing is loaded.
        page.evaluate("token => { location.hash = `#token=${token}` }", token)
        expect(page.get_by_role("alert")).to_contain_text("mallory")
        expect(page.get_by_text("Signed in as ada")).to_be_visible()
        page.get_by_role("button", name="Continue as this user").click()
        expect(page.get_by_text("Signed in as mallory")).to_be_visible()
        expect(page.get_by_text("Tenant evil")).to_be_visible()
        assert console.faults == []


def test_unrequested_answer_is_removed_from_the_address_and_keeps_the_user(chromium: Browser, sign_in: SignIn) -> None:
    with opened(chromium, sign_in.stack.url) as console:
        console.open()
        paste(console.page, sign_in.stack.token(user="ada"))
        expect(console.navigation("Usage")).to_be_visible()
        console.page.goto(f"{console.url}/console/?code=stolen&state=guessed#/usage")
        expect(console.page.get_by_text("Signed in as ada")).to_be_visible()
        assert console.page.url == f"{console.url}/console/#/usage"


def test_code_is_removed_from_the_address_and_works_once(chromium: Browser, sign_in: SignIn) -> None:
    with opened(chromium, sign_in.stack.url) as console:
        addresses: list[str] = []
        console.page.on("request", lambda request: addresses.append(request.url))
        console.open("#/usage?by=model")
        _go(console, "ada")
        expect(console.page.get_by_text("Signed in as ada")).to_be_visible()
        assert console.page.url == f"{console.url}/console/#/usage?by=model"
        (returned,) = [address for address in addresses if "?code=" in address]
        console.page.get_by_role("button", name="Sign out").click()
        expect(console.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        assert console.page.evaluate(_STORED) == "{}"
        console.page.goto(returned)
        expect(console.page.get_by_role("alert")).to_contain_text("This tab has not begun to sign in")
        assert console.page.url == f"{console.url}/console/"


def test_an_answer_to_another_sign_in_is_refused(chromium: Browser, sign_in: SignIn) -> None:
    with opened(chromium, sign_in.stack.url) as console:
        console.open()
        console.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(console.page.get_by_label("User name")).to_be_visible()
        console.page.goto(f"{console.url}/console/?code=attackers&state=guessed")
        expect(console.page.get_by_role("alert")).to_contain_text("state")
        assert console.page.evaluate(_STORED) == "{}"


def test_a_token_of_another_sign_in_is_refused(chromium: Browser, sign_in: SignIn) -> None:
    token = sign_in.stack.token("evil", "mallory", claims={"nonce": "other"})

    def swap(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**json.loads(response.text()), "id_token": token})

    with opened(chromium, sign_in.stack.url) as console:
        console.page.route("**/token", swap)
        console.open()
        _go(console, "ada")
        expect(console.page.get_by_role("alert")).to_contain_text("nonce")
        assert console.page.evaluate(_STORED) == "{}"


def test_a_message_waits_for_its_user_when_another_one_signs_in_by_the_issuer(
    chromium: Browser, sign_in: SignIn
) -> None:
    with (
        open_client(sign_in.stack.url, sign_in.stack.token("acme", "ada")) as http,
        opened(chromium, sign_in.stack.url) as console,
    ):
        body = {"key": "writer", "name": "Writer", "role_prompt": "Write.", "model_alias": "fast"}
        assert http.post("agents", json=body).status_code == 201
        session = {"title": "Talk", "mode": "manual", "agent_keys": ["writer"], "visibility": "tenant"}
        turns = f"sessions/{http.post('sessions', json=session).json()['id']}/turns"
        console.open(f"#/{turns.removesuffix('/turns')}")
        _go(console, "ada")
        page = console.page
        page.route("**/turns", lambda route: route.fulfill(status=401, json={}), times=1)
        page.get_by_role("textbox", name="Message").fill("A secret of ada.")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign in again").click()
        _log_in(page, "bob")
        expect(page.get_by_text("Signed in as bob")).to_be_visible()
        expect(page.get_by_text("Nobody has asked anything yet")).to_be_visible()
        assert http.get(turns).json()["items"] == []
