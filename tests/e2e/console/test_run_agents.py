"""Tests the pages of agents: an admin makes and changes them, a member reads them."""

import re
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Locator, Page, expect

from local.stack import Stack
from tests.support.pages.console import Console
from tests.support.stack.tenant import Tenant, agent

PROMPT = "You write plain text.\nYou answer in one line."


def edit(console: Console, key: str) -> Page:
    """Open the agent's form."""
    console.open(f"#/agents/{key}")
    expect(console.page.get_by_label("Role prompt")).to_be_visible()
    return console.page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def told(page: Page, text: str) -> Locator:
    """The element that announces a finished action."""
    return page.get_by_role("main").get_by_role("status").filter(has_text=text)


def stored(tenant: Tenant, key: str) -> Mapping[str, Any]:
    answer = tenant.http.get(f"agents/{key}")
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


def replace(tenant: Tenant, key: str, **changes: object) -> None:
    body = agent(key, **changes)
    del body["key"]
    assert tenant.http.put(f"agents/{key}", json=body).status_code == 200


def test_an_agent_is_stored_as_its_form_says(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("critic")
    console.open("#/agents")
    page = console.page
    page.get_by_role("link", name="New agent").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Key").fill("ada")
    page.get_by_label("Role prompt").fill(PROMPT)
    page.get_by_label("Most output tokens").fill("100")
    page.get_by_label("Enabled").uncheck()
    save(page)
    expect(told(page, "Ada was made. It is at version 1.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/agents/ada$"))
    assert stored(tenant, "ada") == {
        "key": "ada",
        "name": "Ada",
        "role_prompt": PROMPT,
        "model_alias": "fast",
        "max_output_tokens": 100,
        "temperature": None,
        "enabled": False,
        "version": 1,
    }


def test_a_form_with_faults_sends_nothing_and_keeps_what_was_typed(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    page.get_by_label("Role prompt").fill("x" * 32_769)
    page.get_by_label("Temperature").fill("hot")
    expect(page.get_by_text("32,769 of 32,768 bytes")).to_be_visible()
    save(page)
    expect(page.get_by_label("Role prompt")).to_have_accessible_description(re.compile("The limit is 32,768 bytes"))
    expect(page.get_by_label("Role prompt")).to_be_focused()
    expect(page.get_by_label("Temperature")).to_have_accessible_description(re.compile("a number from 0 to 2"))
    expect(page.get_by_label("Temperature")).to_have_value("hot")
    assert console.refused == []
    assert stored(tenant, "writer")["version"] == 1


def test_form_shows_the_apis_error_at_its_field(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    fault = {"path": "body.name", "message": "This name is not allowed here", "type": "odd"}
    problem = {"code": "invalid_request", "detail": "body.name: …", "errors": [fault]}
    page.route("**/api/v1/agents/writer", lambda route: route.fulfill(status=422, json=problem))
    page.get_by_label("Name").fill("Other")
    save(page)
    expect(page.get_by_label("Name")).to_have_accessible_description("This name is not allowed here")
    expect(page.get_by_label("Name")).to_have_value("Other")


def test_form_shows_a_used_key_at_its_field(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    console.open("#/agents/new")
    page = console.page
    page.get_by_label("Name").fill("Second")
    page.get_by_label("Key").fill("writer")
    page.get_by_label("Role prompt").fill(PROMPT)
    save(page)
    expect(page.get_by_label("Key")).to_have_accessible_description(re.compile("“writer” is taken"))
    expect(page.get_by_label("Role prompt")).to_have_value(PROMPT)


def test_save_without_a_change_makes_no_version(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    save(page)
    expect(told(page, "Nothing has changed. Writer stays at version 1.")).to_be_visible()


def conflict(console: Console, tenant: Tenant) -> Page:
    """A form whose agent another user has changed."""
    tenant.make_agents("writer", role_prompt="You write.")
    page = edit(console, "writer")
    replace(tenant, "writer", role_prompt="You write letters.")
    page.get_by_label("Role prompt").fill("You write poems.")
    save(page)
    expect(page.get_by_role("heading", name="Somebody else saved a change")).to_be_focused()
    difference = page.get_by_role("region", name="Changes from Version 2 to your text")
    expect(difference).to_contain_text("Removed: You write letters.")
    expect(difference).to_contain_text("Added: You write poems.")
    assert stored(tenant, "writer")["role_prompt"] == "You write letters."
    return page


def test_second_editor_can_keep_their_text(console: Console, tenant: Tenant) -> None:
    page = conflict(console, tenant)
    page.get_by_role("button", name="Keep editing mine").click()
    expect(told(page, "Your text is kept. Save it to replace version 2.")).to_be_visible()
    save(page)
    expect(told(page, "Writer was saved. It is now at version 3.")).to_be_visible()
    assert stored(tenant, "writer")["role_prompt"] == "You write poems."


def test_second_editor_can_take_the_other_version(console: Console, tenant: Tenant) -> None:
    page = conflict(console, tenant)
    page.get_by_role("button", name="Take their version").click()
    expect(page.get_by_label("Role prompt")).to_have_value("You write letters.")
    assert stored(tenant, "writer")["version"] == 2


def test_an_editor_of_a_deleted_agent_is_told_and_keeps_the_text(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    page.get_by_label("Role prompt").fill(PROMPT)
    assert tenant.http.delete("agents/writer").status_code == 204
    save(page)
    expect(page.get_by_role("alert").filter(has_text="It was deleted in the meantime")).to_be_visible()
    expect(page.get_by_label("Role prompt")).to_have_value(PROMPT)
    assert tenant.http.get("agents/writer").status_code == 404


def test_any_two_versions_are_compared_and_one_is_restored(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", role_prompt="First\nline")
    replace(tenant, "writer", role_prompt="Second\nline")
    replace(tenant, "writer", role_prompt="Third\nline")
    page = edit(console, "writer")
    page.get_by_role("button", name="Compare with current: version 1").click()
    difference = page.get_by_role("region", name="Changes from Version 1 to Version 3")
    expect(difference).to_contain_text("Removed: First")
    expect(difference).to_contain_text("Added: Third")
    page.get_by_label("To", exact=True).select_option("2")
    expect(page.get_by_role("region", name="Changes from Version 1 to Version 2")).to_contain_text("Added: Second")
    page.get_by_role("button", name="Restore this version: 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore this version").click()
    expect(told(page, "Writer was saved. It is now at version 4.")).to_be_visible()
    expect(page.get_by_label("Role prompt")).to_have_value("First\nline")
    assert stored(tenant, "writer")["role_prompt"] == "First\nline"
    expect(page.get_by_role("row", name=re.compile("Version 4.*Current"))).to_be_visible()


def test_form_asks_before_its_changes_are_dropped(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    page.get_by_label("Role prompt").fill(PROMPT)
    console.navigation("Councils").click()
    dialog = page.get_by_role("dialog", name="Leave without saving?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"#/agents/writer$"))
    expect(page.get_by_label("Role prompt")).to_have_value(PROMPT)
    console.navigation("Councils").click()
    dialog.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Councils")).to_be_visible()
    assert stored(tenant, "writer")["version"] == 1


def test_form_asks_nothing_after_a_save(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    page = edit(console, "writer")
    page.get_by_label("Role prompt").fill(PROMPT)
    save(page)
    expect(told(page, "version 2")).to_be_visible()
    console.navigation("Councils").click()
    expect(page.get_by_role("heading", name="Councils")).to_be_visible()


def test_agent_is_deleted_after_the_dialog_named_the_consequences(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    page = edit(console, "writer")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete Writer?")
    expect(dialog).to_contain_text("Sessions and councils keep the key and treat it as disabled.")
    dialog.get_by_role("button", name="Delete").click()
    expect(told(page, "Writer was deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Critic")).to_be_visible()
    expect(page.get_by_role("link", name="Writer")).to_have_count(0)
    assert tenant.http.get("agents/writer").status_code == 404


def test_a_search_reads_the_whole_list(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("oldest", *(f"agent{number}" for number in range(50)))
    console.open("#/agents")
    expect(console.page.get_by_role("link", name="Agent49")).to_be_visible()
    expect(console.page.get_by_role("link", name="Oldest")).to_have_count(0)
    console.page.get_by_label("Search").fill("OLD")
    expect(console.page.get_by_role("link", name="Oldest")).to_be_visible()
    expect(console.page.get_by_role("link", name="Agent49")).to_have_count(0)


def test_a_tenant_without_agents_begins_with_a_template(console: Console, tenant: Tenant) -> None:
    console.open("#/agents")
    page = console.page
    expect(page.get_by_role("heading", name="Make your first agent")).to_be_visible()
    page.get_by_role("link", name="Researcher").click()
    save(page)
    expect(told(page, "Researcher was made. It is at version 1.")).to_be_visible()
    assert "most important fact" in stored(tenant, "researcher")["role_prompt"]


def test_a_member_reads_agents_and_is_told_who_changes_them(signed_out: Console, stack: Stack, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    replace(tenant, "writer", role_prompt=PROMPT)
    signed_out.sign_in(stack.token(tenant=tenant.id, user="ada", roles=("member",)))
    page = signed_out.page
    for address in ("#/agents", "#/agents/writer", "#/councils", "#/agents/new"):
        signed_out.open(address)
        expect(page.get_by_text("Only admins of your tenant can change it.")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("Save|Delete|Restore"))).to_have_count(0)
        expect(page.get_by_role("main").get_by_role("link", name=re.compile("^New "))).to_have_count(0)
    signed_out.open("#/agents/writer")
    expect(page.get_by_text("You answer in one line.").first).to_be_visible()
    page.get_by_role("button", name="Compare with current: version 1").click()
    expect(page.get_by_role("region", name="Changes from Version 1 to Version 2")).to_be_visible()
    assert signed_out.refused == []
