"""Tests the console for a reader by keyboard or screen reader: position, focus, and the answer that counts."""

import json

from playwright.sync_api import expect

from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import Console
from tests.support.pages.talk import talk
from tests.support.stack.tenant import Tenant

ALL = 500


def test_the_tab_is_named_after_the_page(console: Console, tenant: Tenant, session_id: str) -> None:
    console.open("#/agents")
    expect(console.page).to_have_title("Agents · Pantheon")
    console.open(f"#/sessions/{session_id}")
    expect(console.page).to_have_title("Talk · Pantheon")
    tenant.take(session_id, "@writer hello")
    console.open("#/usage/calls")
    expect(console.page).to_have_title("Ledger · Pantheon")
    console.page.get_by_role("button", name="Sign out").click()
    expect(console.page).to_have_title("Sign in to Pantheon")


def test_a_link_takes_the_focus_to_the_page_that_it_opens(console: Console, session_id: str) -> None:
    # The session was made after the page was opened.
    console.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(console.navigation("Talk")).to_be_visible()
    console.navigation("Councils").focus()
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("heading", name="Councils")).to_be_visible()
    expect(console.main).to_be_focused()
    console.page.keyboard.press("Tab")
    expect(console.main.get_by_role("link", name="New council")).to_be_focused()
    console.navigation("Talk").focus()
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("textbox", name="Message")).to_be_focused()


def test_the_conclusion_of_a_council_stays_in_view_while_it_is_written(
    console: Console, session_id: str, tenant: Tenant, provider: FakeProvider
) -> None:
    assert tenant.http.patch(f"sessions/{session_id}", json={"mode": "council"}).status_code == 200
    for letters in ("AB", "AC", "BC"):
        provider.add(moods.ok(json.dumps({"ranking": list(letters)})), when=f"letters once: {', '.join(letters)}")
    for name in ("Writer", "Researcher", "Critic"):
        provider.add(moods.ok("A short answer."), when=f"You are {name},")
    provider.add(moods.stepped("A conclusion.\n\n" * 16), when="You are Writer,")
    asked = talk(console, session_id)
    asked.send("Is it good?")
    conclusion = asked.replies.first
    expect(conclusion).to_contain_text("writing")
    provider.step(ALL)
    asked.ended()
    expect(conclusion).to_contain_text("done")
    expect(conclusion.get_by_role("heading", name="Writer")).to_be_in_viewport()
    expect(console.page.get_by_role("button", name="Jump to the newest")).to_be_visible()


def test_the_cost_of_a_turn_and_of_a_call_lead_to_their_rows_alone(
    console: Console, tenant: Tenant, session_id: str
) -> None:
    tenant.take(session_id, "@writer hello")
    turn = tenant.take(session_id, "@writer @critic hello again")
    console.open(f"#/turns/{turn['id']}")
    calls = console.main.get_by_role("table", name="Calls of this turn")
    expect(calls.locator("tfoot")).to_contain_text(f"${turn['cost_usd'].rstrip('0')}")
    calls.get_by_role("row").filter(has_text="Critic").get_by_role("link").click()
    rows = console.main.get_by_role("table", name="Rows of the ledger")
    expect(rows.locator("tbody tr")).to_have_count(2)
    expect(rows.locator("tr[aria-current=true]")).to_contain_text("Critic")
    expect(rows.locator("tfoot")).to_contain_text(f"${turn['cost_usd'].rstrip('0')}")


def test_a_council_is_listed_with_the_names_of_its_mode_and_agents(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_council("panel", "writer", "critic", mode="roundtable")
    console.open("#/councils")
    row = console.main.get_by_role("row").filter(has_text="Panel")
    expect(row).to_contain_text("Roundtable")
    expect(row).to_contain_text("Writer, Critic")
