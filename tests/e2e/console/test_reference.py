"""The API's reference page in Chromium: it shows the document of this deployment and asks no other origin."""

import re

from playwright.sync_api import expect

from tests.support.pages.console import Console


def test_reference_shows_operations_and_their_fields(signed_out: Console) -> None:
    page = signed_out.page
    page.goto(f"{signed_out.url}/docs")
    expect(page).to_have_url(re.compile("/docs/$"))
    expect(page.get_by_role("heading", name=re.compile("^Pantheon"))).to_be_visible()
    posted = page.locator('[data-section-id="tag/Turns/operation/postTurn"]')
    expect(posted).to_contain_text("/api/v1/sessions/{session_id}/turns")
    expect(posted).to_contain_text("The user's message, 1 to 32,000 characters.")
    assert signed_out.refused == []


def test_reference_finds_an_operation(signed_out: Console) -> None:
    page = signed_out.page
    page.goto(f"{signed_out.url}/docs/")
    page.get_by_role("textbox", name="Search").fill("suspense")
    expect(page.get_by_role("search").get_by_text("List Suspense").first).to_be_visible()
