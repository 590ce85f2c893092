"""Tests that users make API keys in the console, see each once, and revoke them."""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from local.stack import Stack
from tests.support.pages.console import Console
from tests.support.stack.tenant import Tenant, open_client


def test_a_key_is_shown_once_and_works(console: Console, stack: Stack, tenant: Tenant) -> None:
    console.open("#/api-keys")
    page = console.page
    page.get_by_role("button", name="New API key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Chat program")
    dialog.get_by_label(re.compile("^Admin")).check()
    dialog.get_by_label("Expiry").select_option("30")
    dialog.get_by_role("button", name="Create the key").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Copy the key now.")
    value = dialog.get_by_label("The new API key")
    expect(value).to_be_focused()
    key = value.input_value()
    assert re.fullmatch(r"pan_[0-9A-Za-z]{43}", key)
    assert console.violations() == []
    with open_client(stack.url, key) as program:
        assert program.get("auth/me").json()["roles"] == ["admin"]
    dialog.get_by_role("button", name="I have copied the key").click()
    expect(page.get_by_role("row", name=re.compile("Chat program.*admin.*Active"))).to_be_visible()
    assert key not in page.content()
    (listed,) = tenant.http.get("api-keys").json()["items"]
    expires = datetime.fromisoformat(listed["expires_at"])
    assert timedelta(days=29, hours=23) < expires - datetime.now(UTC) <= timedelta(days=30)


def test_a_key_without_a_name_is_not_sent(console: Console, tenant: Tenant) -> None:
    console.open("#/api-keys")
    console.page.get_by_role("button", name="New API key").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create the key").click()
    expect(dialog.get_by_label("Name")).to_have_accessible_description(re.compile("at most 200 characters"))
    assert tenant.http.get("api-keys").json()["items"] == []


def test_a_key_is_revoked_after_a_question(console: Console, tenant: Tenant) -> None:
    assert tenant.http.post("api-keys", json={"name": "Old"}).status_code == 201
    console.open("#/api-keys")
    page = console.page
    page.get_by_role("button", name="Revoke the key Old").click()
    dialog = page.get_by_role("dialog", name="Revoke Old?")
    expect(dialog).to_contain_text("within 60 seconds")
    dialog.get_by_role("button", name="Cancel").click()
    assert tenant.http.get("api-keys").json()["items"][0]["revoked_at"] is None
    # A closed dialog has no role, and stays for a moment.
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Revoke the key Old")).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Old was revoked.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Old.*Revoked"))).to_be_visible()
    assert tenant.http.get("api-keys").json()["items"][0]["revoked_at"] is not None


def test_a_member_cannot_choose_the_role_of_an_admin(signed_out: Console, stack: Stack, tenant: Tenant) -> None:
    signed_out.sign_in(stack.token(tenant=tenant.id, user="ada", roles=("member",)))
    signed_out.open("#/api-keys")
    signed_out.page.get_by_role("button", name="New API key").click()
    expect(signed_out.page.get_by_role("dialog").get_by_role("radio")).to_have_count(1)


def test_a_page_that_signed_in_by_a_key_says_that_keys_make_no_keys(signed_out: Console, tenant: Tenant) -> None:
    key = tenant.http.post("api-keys", json={"name": "CI", "role": "admin"}).json()["key"]
    signed_out.sign_in(key)
    signed_out.open("#/api-keys")
    expect(signed_out.main).to_contain_text("API keys cannot create, list or revoke API keys.")
    expect(signed_out.main.get_by_role("alert")).to_have_count(0)
