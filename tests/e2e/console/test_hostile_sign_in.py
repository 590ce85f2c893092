"""Tests links, tokens and browsers that would sign a user in as another one, or not at all."""

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.pages.console import Console, opened
from tests.support.pages.talk import Talk, talk
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant

_NO_STORAGE = """Object.defineProperty(window, "sessionStorage", {get() { throw new DOMException("denied") }})"""
_FULL_STORAGE = """Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }"""


def paste(page: Page, token: str) -> None:
    """Sign in by a token or an API key."""
    page.get_by_label("Token or API key").fill(token)
    page.get_by_role("button", name="Use it").click()


def test_a_message_is_not_posted_by_another_user_who_signs_in_after_the_expiry(
    signed_out: Console, stack: Stack, tenant: Tenant
) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer", mode="manual")
    tenant.http.patch(f"sessions/{session_id}", json={"visibility": "tenant"})
    signed_out.sign_in(token_of(tenant))
    page, refused = signed_out.page, [True]

    def expire(route: Route) -> None:
        if route.request.method == "POST" and refused[0]:
            route.fulfill(status=401, json={"message": "Unauthorized"})
        else:
            route.continue_()

    page.route("**/turns", expire)
    talk(signed_out, session_id).send("A secret of the first user.")
    expect(page.get_by_text("Your sign-in has expired")).to_be_visible()
    refused[0] = False
    paste(page, stack.token(tenant=tenant.id, user="bob", roles=("member",)))
    expect(page.get_by_text("Signed in as bob")).to_be_visible()
    expect(page.get_by_role("textbox", name="Message")).to_be_visible()
    expect(page.get_by_text("A secret of the first user.")).to_have_count(0)
    assert tenant.http.get(f"sessions/{session_id}/turns").json()["items"] == []
    # It is posted when the first user is back in this tab.
    _sign_in_again(signed_out, token_of(tenant))
    talk(signed_out, session_id).ended()
    (turn,) = tenant.http.get(f"sessions/{session_id}/turns").json()["items"]
    assert turn["message"] == "A secret of the first user."


def _sign_in_again(console: Console, token: str) -> None:
    console.page.goto("about:blank")
    console.sign_in(token)
    expect(console.page.get_by_text("Signed in as demo")).to_be_visible()


def test_an_expired_user_who_signs_in_again_has_the_message_posted_once(signed_out: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer", mode="manual")
    signed_out.sign_in(token_of(tenant))
    page, left = signed_out.page, [1]

    def expire(route: Route) -> None:
        if route.request.method == "POST" and left[0]:
            left[0] -= 1
            route.fulfill(status=401, json={"message": "Unauthorized"})
        else:
            route.continue_()

    page.route("**/turns", expire)
    conversation = talk(signed_out, session_id)
    conversation.send("hello")
    expect(page.get_by_text("Your sign-in has expired")).to_be_visible()
    paste(page, "not a token")
    expect(page.get_by_text("neither a token nor an API key")).to_be_visible()
    paste(page, "nobody's")
    expect(page.get_by_text("Signing in failed")).to_be_visible()
    expect(page.get_by_text("Your sign-in has expired")).to_be_visible()
    api_key = tenant.http.post("api-keys", json={"name": "mine", "role": "member", "expires_at": None}).json()["key"]
    paste(page, api_key)
    conversation.ended()
    expect(page.get_by_text("Your sign-in has expired")).to_have_count(0)
    assert len(tenant.http.get(f"sessions/{session_id}/turns").json()["items"]) == 1


@pytest.mark.parametrize("token", ["%", "%E0%A4%A", "a%0Ab", "%00", ""])
def test_link_with_a_broken_token_shows_a_message(signed_out: Console, tenant: Tenant, token: str) -> None:
    signed_out.open(f"#token={token}")
    expect(signed_out.page.get_by_role("alert")).to_contain_text("Signing in failed")
    assert signed_out.page.url == f"{signed_out.url}/console/#/"
    signed_out.page.reload()
    expect(signed_out.page.get_by_role("alert")).to_have_count(0)
    paste(signed_out.page, token_of(tenant))
    expect(signed_out.navigation("Usage")).to_be_visible()


@pytest.mark.parametrize("script", [_NO_STORAGE, _FULL_STORAGE])
def test_a_tab_without_storage_signs_in_and_asks(chromium: Browser, stack: Stack, tenant: Tenant, script: str) -> None:
    tenant.make_agents("writer")
    with opened(chromium, stack.url) as console:
        console.page.add_init_script(script)
        console.sign_in(token_of(tenant))
        assert "token" not in console.page.url
        new = Talk(console.page)
        new.send("hello")
        new.ended()
        (session,) = tenant.http.get("sessions").json()["items"]
        eventually(lambda: len(tenant.http.get(f"sessions/{session['id']}/turns").json()["items"]) == 1)
        console.page.get_by_role("button", name="Sign out").click()
        expect(console.page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()
        assert console.faults == []
