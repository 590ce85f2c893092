"""Tests that users sign in by a link, a token and an issuer, and sign out."""

import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.stack.tenant import Tenant

_STORED = "JSON.stringify([{...localStorage}, {...sessionStorage}])"


def test_the_link_of_the_terminal_signs_in_and_leaves_no_token_in_the_address(
    signed_out: Console, tenant: Tenant
) -> None:
    signed_out.sign_in(token_of(tenant))
    assert signed_out.page.url == f"{signed_out.url}/console/#/"
    assert "token" not in signed_out.page.evaluate("JSON.stringify(history.state)")
    signed_out.page.reload()
    expect(signed_out.navigation("Usage")).to_be_visible()


def test_signing_out_forgets_everything_that_the_tab_has_kept(console: Console) -> None:
    console.page.get_by_role("button", name="Sign out").click()
    expect(console.page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()
    assert console.page.evaluate(_STORED) == "[{},{}]"
    console.page.reload()
    expect(console.page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()


def test_signing_out_asks_the_api_for_nothing_more(signed_out: Console, stack: Stack, tenant: Tenant) -> None:
    """An operator's page sends more requests than others. Without a token, each answer would be 401."""
    signed_out.sign_in(stack.token(tenant=tenant.id, roles=("member", "admin", "operator")))
    expect(signed_out.navigation("Operations")).to_be_visible()
    signed_out.page.get_by_role("button", name="Sign out").click()
    expect(signed_out.page.get_by_text("Open the link that pantheon run has printed")).to_be_visible()
    signed_out.page.wait_for_load_state("networkidle")
    assert signed_out.refused == []


def test_invalid_token_shows_a_message(signed_out: Console, tenant: Tenant) -> None:
    signed_out.open()
    signed_out.page.get_by_label("Token or API key").fill("nobody's")
    signed_out.page.get_by_role("button", name="Use it").click()
    expect(signed_out.page.get_by_role("alert")).to_contain_text("Signing in failed")
    signed_out.page.get_by_label("Token or API key").fill(token_of(tenant))
    signed_out.page.get_by_role("button", name="Use it").click()
    expect(signed_out.navigation("Usage")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_frame_has_no_serious_accessibility_fault(
    chromium: Browser, stack: Stack, tenant: Tenant, size: tuple[int, int], scheme: str
) -> None:
    with opened(chromium, stack.url, size, scheme) as console:
        console.open()
        expect(console.page.get_by_role("heading", name="Sign in to Pantheon")).to_be_visible()
        assert console.violations() == []
        console.sign_in(token_of(tenant))
        console.draw(f"frame-{scheme}-{size[0]}")
        assert console.violations() == []
        assert console.overflow() == 0
        assert console.faults == []


def test_a_narrow_window_folds_the_navigation_away(chromium: Browser, stack: Stack, tenant: Tenant) -> None:
    with opened(chromium, stack.url, PHONE) as console:
        console.sign_in(token_of(tenant))
        expect(console.navigation("Agents")).not_to_be_visible()
        menu = console.page.get_by_role("button", name="Menu")
        menu.click()
        console.navigation("Agents").click()
        expect(console.navigation("Agents")).not_to_be_visible()
        assert console.page.url.endswith("#/agents")
        menu.click()
        console.page.keyboard.press("Escape")
        expect(console.navigation("Agents")).not_to_be_visible()
