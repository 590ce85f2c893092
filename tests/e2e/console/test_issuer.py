"""Tests that users sign in by the stage's issuer, again during a turn, and sign out of both."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.oidc_server import OidcServer
from tests.support.pages.console import Console, opened
from tests.support.pages.network import Network
from tests.support.pages.talk import Talk
from tests.support.stack.tenant import agent, open_client, with_provider

_FOLLOW = re.compile(r"/turns/[^/]+/events$")
_KEPT = "JSON.stringify([{...localStorage}, {...sessionStorage}])"


@dataclass(frozen=True)
class Stage:
    """A stack whose console signs in by `issuer`, behind a network that a test can take away."""

    stack: Stack
    issuer: OidcServer
    network: Network
    http: httpx.Client


@pytest.fixture(scope="module")
def stage(everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with OidcServer() as issuer:
        given = with_provider(everybodys_provider, tmp_path_factory.mktemp("issuer")) | issuer.environ
        with Stack.start(given) as stack, Network(stack.url) as network:
            issuer.sign = lambda user, claims, ttl: stack.token(user.tenant, user.name, user.roles, ttl, claims)
            with open_client(stack.url, stack.token(tenant="acme", user="ada")) as http:
                assert http.post("agents", json=agent("writer")).status_code == 201
                yield Stage(stack, issuer, network, http)


@pytest.fixture
def tab(chromium: Browser, stage: Stage) -> Iterator[Console]:
    """A tab in which nobody has signed in. The issuer is the only other origin."""
    stage.issuer.asked.clear()
    with opened(chromium, stage.network.url) as console:
        yield console
        stage.network.mend()
        assert [fault for fault in console.faults if f"another origin: {stage.issuer.url}" not in fault] == []


def sign_in(tab: Console, button: str = "Sign in") -> None:
    """Click the button of the console and fill in the issuer's page."""
    tab.page.get_by_role("button", name=button, exact=True).click()
    tab.page.get_by_label("User name").fill("ada")
    tab.page.get_by_role("button", name="Sign in").click()
    # The console takes the code out of the address before it exchanges it, so the address alone says too little.
    expect(tab.navigation("Usage")).to_be_visible()


def make_session(stage: Stage) -> str:
    made = stage.http.post("sessions", json={"title": "Talk", "mode": "tag", "agent_keys": ["writer"]})
    assert made.status_code == 201
    return str(made.json()["id"])


def test_the_issuer_signs_in_and_the_address_that_was_asked_for_is_shown(tab: Console, stage: Stage) -> None:
    tab.open("#/agents")
    sign_in(tab)
    expect(tab.main.get_by_role("link", name="Writer")).to_be_visible()
    expect(tab.page.get_by_text("Signed in as ada@example.org")).to_be_visible()
    assert tab.page.url == f"{tab.url}/console/#/agents"
    asked = next(request for request in stage.issuer.asked if request.path == "/authorize").parameters
    assert (asked["code_challenge_method"], asked["redirect_uri"]) == ("S256", f"{tab.url}/console/")
    tab.page.reload()
    expect(tab.main.get_by_role("link", name="Writer")).to_be_visible()


def test_signing_out_leaves_the_issuer_too_and_keeps_nothing(tab: Console, stage: Stage) -> None:
    tab.open()
    sign_in(tab)
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()
    left = stage.issuer.asked[-1]
    assert (left.path, left.parameters["logout_uri"]) == ("/logout", f"{tab.url}/console/")
    assert tab.page.evaluate(_KEPT) == "[{},{}]"


def test_answer_that_this_tab_did_not_request_signs_no_user_in(tab: Console) -> None:
    tab.page.goto(f"{tab.url}/console/?code=stolen&state=forged")
    expect(tab.page.get_by_role("alert")).to_contain_text("This tab has not begun to sign in. Sign in again.")
    assert urlsplit(tab.page.url).query == ""
    assert tab.page.evaluate(_KEPT) == "[{},{}]"
    sign_in(tab)
    expect(tab.navigation("Usage")).to_be_visible()


def test_sign_in_shows_the_issuers_refusal(tab: Console) -> None:
    tab.open()
    tab.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(tab.page.get_by_label("User name")).to_be_visible()
    state = dict(pair.split("=") for pair in urlsplit(tab.page.url).query.split("&"))["state"]
    tab.page.goto(f"{tab.url}/console/?error=access_denied&state={state}")
    expect(tab.page.get_by_role("alert")).to_contain_text("Signing in failed: The issuer refused it: access_denied.")
    assert urlsplit(tab.page.url).query == ""


def test_a_token_that_expires_in_mid_turn_is_renewed_by_the_issuer_and_the_turn_goes_on(
    tab: Console, stage: Stage, provider: FakeProvider
) -> None:
    session_id = make_session(stage)
    tab.open(f"#/sessions/{session_id}")
    sign_in(tab)
    asked = Talk(tab.page)
    before = len(provider.rows)
    provider.add(moods.hold())
    asked.send("@writer hello")
    provider.wait_for_requests(before + 1, 10)
    asked.box.fill("my next question")
    # The authorizer accepts a token for a minute too long, and API Gateway keeps its answer for another one.
    tab.page.route(_FOLLOW, lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}), times=1)
    stage.network.cut()
    stage.network.mend()
    expect(tab.page.get_by_role("alert")).to_contain_text("Your sign-in has expired")
    sign_in(tab, "Sign in again")
    assert tab.page.url == f"{tab.url}/console/#/sessions/{session_id}"
    expect(asked.replies).to_contain_text("writing")
    expect(asked.box).to_have_value("my next question")
    provider.release()
    asked.ended()
    expect(asked.replies).to_contain_text("hello")
    assert [turn["status"] for turn in stage.http.get(f"sessions/{session_id}/turns").json()["items"]] == ["completed"]
    assert len(provider.rows) == before + 1
