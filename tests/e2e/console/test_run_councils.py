"""Tests the pages on which an admin makes councils."""

import re

from playwright.sync_api import expect

from tests.support.pages.console import Console
from tests.support.stack.tenant import Tenant


def test_a_council_is_put_together_by_keyboard_alone(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic", "editor")
    console.open("#/councils/new")
    page = console.page
    page.get_by_label("Name").fill("Panel")
    page.get_by_label("Key").fill("panel")
    for name in ("Writer", "Critic", "Editor"):
        page.get_by_label("Add an agent").select_option(label=name)
        page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.get_by_role("button", name="Move Editor up").press("Enter")
    expect(page.get_by_role("button", name="Move Editor up")).to_be_focused()
    page.keyboard.press("Enter")
    # The agent is the first one now, so the focus is on its remaining button.
    expect(page.get_by_role("button", name="Move Editor down")).to_be_focused()
    expect(page.get_by_text("Editor is now number 1 of 3.")).to_be_attached()
    page.get_by_role("button", name="Remove Critic").press("Enter")
    page.get_by_label("Chair", exact=True).select_option(label="Writer")
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_text("Panel was made. It is at version 1.")).to_be_visible()
    assert tenant.http.get("councils/panel").json() == {
        "key": "panel",
        "name": "Panel",
        "mode": "council",
        "agent_keys": ["editor", "writer"],
        "fan_out": "sequential",
        "chair_key": "writer",
        "version": 1,
    }


def test_a_mode_without_a_chair_offers_the_fan_out(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_council("panel", "writer", "critic", chair_key="critic")
    console.open("#/councils/panel")
    page = console.page
    expect(page.get_by_label("Chair", exact=True)).to_have_value("critic")
    page.get_by_role("radio", name=re.compile("^Tag")).check()
    expect(page.get_by_label("Chair", exact=True)).to_have_count(0)
    page.get_by_role("radio", name=re.compile("^parallel")).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Panel was saved. It is now at version 2.")).to_be_visible()
    council = tenant.http.get("councils/panel").json()
    assert (council["mode"], council["fan_out"]) == ("tag", "parallel")


def test_a_council_without_agents_is_not_sent(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    console.open("#/councils/new")
    console.page.get_by_label("Name").fill("Panel")
    console.page.get_by_label("Key").fill("panel")
    console.page.get_by_role("button", name="Save").click()
    expect(console.page.get_by_text("Add at least one agent.")).to_be_visible()
    expect(console.page.get_by_label("Add an agent")).to_be_focused()
    assert console.refused == []


def test_two_editors_of_a_council_do_not_overwrite_each_other(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_council("panel", "writer", mode="roundtable")
    console.open("#/councils/panel")
    page = console.page
    page.get_by_label("Name").fill("Mine")
    body = {"name": "Theirs", "mode": "roundtable", "agent_keys": ["writer", "critic"]}
    assert tenant.http.put("councils/panel", json=body).status_code == 200
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("region", name="Changes from Version 2 to your text")).to_contain_text("Theirs")
    assert tenant.http.get("councils/panel").json()["name"] == "Theirs"


def test_a_council_is_deleted_and_its_agents_stay(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    tenant.make_council("panel", "writer", mode="tag")
    console.open("#/councils/panel")
    page = console.page
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Panel was deleted.")).to_be_visible()
    expect(page).to_have_url(re.compile("#/councils$"))
    assert tenant.http.get("councils/panel").status_code == 404
    assert tenant.http.get("agents/writer").status_code == 200


def test_an_agent_that_was_deleted_is_marked_in_its_councils(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_council("panel", "writer", "critic", mode="tag")
    assert tenant.http.delete("agents/critic").status_code == 204
    console.open("#/councils/panel")
    expect(console.page.get_by_role("listitem").filter(has_text="critic")).to_contain_text("deleted")
