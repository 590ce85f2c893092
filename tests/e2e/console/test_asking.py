"""Tests that a user asks in the console: the choice of agents, the message box, and the life of a message."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.pages.talk import Talk, talk
from tests.support.stack.tenant import Tenant

# Each line would do harm if a page took it for more than text.
HOSTILE = """\
<img src=x onerror="window.harmed=1"> <script>window.harmed=1</script>

<iframe srcdoc="<script>parent.harmed=1</script>"></iframe>

[click](javascript:window.harmed=1) [data](data:text/html,x) ![picture](https://example.com/x.png)

[entity](java&#115;cript:window.harmed=1) &lt;b&gt; <javascript:alert(1)>

[fine](https://example.com/a)
"""
_LINKS = "[...document.querySelectorAll('article article .markdown a')].map(a => a.href)"


def test_a_council_is_asked_from_the_first_page(console: Console, tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer", "researcher", "critic")
    tenant.make_council("panel", "writer", "researcher", "critic", chair_key="critic")
    for letters in ('["A", "B"]', '["A", "B"]', '["B", "A"]'):
        provider.add(moods.ok(f'{{"ranking": {letters}}}'), when="rank")
    console.open()
    console.page.reload()
    expect(console.page.get_by_role("radio", name="Panel")).to_be_checked()
    asked = Talk(console.page)
    asked.send("Should we test first?")
    asked.ended()
    session = tenant.row("SELECT * FROM sessions WHERE tenant_id = %s", tenant.id)
    assert (session["title"], session["mode"], session["chair_key"]) == ("Should we test first?", "council", "critic")
    assert console.page.url.endswith(f"#/sessions/{session['id']}")
    expect(console.page.get_by_role("navigation").get_by_role("link", name="Should we test first?")).to_be_visible()
    turn = tenant.http.get(f"sessions/{session['id']}/turns").json()["items"][0]
    expect(asked.replies).to_have_count(4)
    expect(asked.replies.first).to_contain_text("Critic")
    expect(asked.replies.first).to_contain_text("Conclusion")
    for reply in turn["replies"]:
        expect(asked.replies.filter(has_text=reply["name"]).first).to_be_visible()
    expect(console.page.get_by_role("link", name=re.compile("^This turn cost"))).to_have_attribute(
        "href", f"#/turns/{turn['id']}"
    )


def test_agents_are_chosen_with_a_mode(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    console.open()
    console.page.reload()
    page = console.page
    page.get_by_role("checkbox", name=re.compile("Critic")).uncheck()
    page.get_by_role("checkbox", name=re.compile("Writer")).uncheck()
    expect(page.get_by_role("alert")).to_contain_text("at least one agent")
    page.get_by_role("checkbox", name=re.compile("Writer")).check()
    page.get_by_role("checkbox", name=re.compile("Critic")).check()
    page.get_by_role("radio", name="Roundtable").check()
    page.get_by_label("Who sees this conversation").select_option("tenant")
    asked = Talk(page)
    asked.send("hello")
    asked.ended()
    session = tenant.row("SELECT * FROM sessions WHERE tenant_id = %s", tenant.id)
    assert (session["mode"], session["visibility"]) == ("roundtable", "tenant")
    assert session["agent_keys"] == ["writer", "critic"]


def test_first_page_links_to_agents_when_the_tenant_has_none(console: Console) -> None:
    expect(console.page.get_by_role("heading", name="There is no agent yet.")).to_be_visible()
    console.main.get_by_role("link", name="Go to Agents").click()
    assert console.page.url.endswith("#/agents")


def test_message_and_html_in_a_reply_are_shown_as_text(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok(HOSTILE))
    asked = talk(console, session_id)
    asked.send(f"@writer **loud** {HOSTILE}")
    asked.ended()
    page = console.page
    expect(page.locator(".message")).to_contain_text('@writer **loud** <img src=x onerror="window.harmed=1">')
    expect(asked.replies).to_contain_text("<script>window.harmed=1</script>")
    expect(asked.replies).to_contain_text("[click](javascript:window.harmed=1)")
    assert page.evaluate(_LINKS) == ["https://example.com/a"]
    assert page.locator("article :is(img, iframe, script, object, [onerror])").count() == 0
    assert page.evaluate("window.harmed") is None


def test_message_box_completes_an_agent_after_an_at_sign(console: Console, session_id: str) -> None:
    asked = talk(console, session_id)
    asked.box.press_sequentially("ask @")
    options = console.page.get_by_role("option")
    expect(options).to_have_count(3)
    asked.box.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    assert asked.box.get_attribute("aria-activedescendant") == options.nth(1).get_attribute("id")
    asked.box.press("Escape")
    expect(options).to_have_count(0)
    asked.box.fill("")
    asked.box.press_sequentially("ask @wr")
    expect(options).to_have_count(1)
    asked.box.press("Enter")
    expect(asked.box).to_have_value("ask @writer ")
    asked.box.press_sequentially("and @cr")
    asked.box.press("Tab")
    expect(asked.box).to_have_value("ask @writer and @critic ")
    expect(asked.box).to_be_focused()
    asked.box.press("Tab")
    expect(console.page.get_by_role("button", name="Send message")).to_be_focused()


def test_draft_survives_a_reload_and_enter_in_a_composition_sends_nothing(
    console: Console, tenant: Tenant, session_id: str
) -> None:
    asked = talk(console, session_id)
    asked.box.press_sequentially("one")
    asked.box.press("Shift+Enter")
    asked.box.press_sequentially("two")
    asked.box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    console.page.reload()
    expect(asked.box).to_have_value("one\ntwo")
    assert tenant.http.get(f"sessions/{session_id}/turns").json()["items"] == []


def test_a_message_near_the_limit_is_counted(console: Console, session_id: str) -> None:
    asked = talk(console, session_id)
    asked.box.fill("\U0001f5ff" * 32_001)
    expect(console.page.get_by_text("32,001 of 32,000 characters")).to_be_visible()
    asked.box.press("Enter")
    expect(asked.box).to_have_value("\U0001f5ff" * 32_001)
    asked.box.fill("short")
    expect(console.page.get_by_text("of 32,000 characters")).to_have_count(0)


def test_refused_message_returns_to_the_box(console: Console, tenant: Tenant, session_id: str) -> None:
    assert tenant.http.put("budget", json={"limit_usd": "0"}).status_code == 200
    asked = talk(console, session_id)
    asked.send("@writer hello")
    expect(console.page.get_by_role("alert")).to_contain_text("This month's budget does not cover the message")
    expect(asked.box).to_have_value("@writer hello")
    assert tenant.http.put("budget", json={"limit_usd": None}).status_code == 200
    asked.box.press("Enter")
    asked.ended()
    expect(console.page.get_by_role("alert")).to_have_count(0)
    expect(asked.box).to_have_value("")
    assert [answer.split()[0] for answer in console.refused] == ["402"]


def test_failed_reply_shows_its_reason(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.status(401), when="You are Critic", times=None)
    asked = talk(console, session_id)
    asked.send("@writer @critic @nobody hello")
    asked.ended()
    expect(asked.replies.nth(1)).to_contain_text("The provider refused this deployment's key")
    expect(asked.replies.nth(1)).to_contain_text("failed")
    expect(asked.replies.nth(0)).to_contain_text("done")
    expect(asked.turns).to_contain_text("You tagged Writer and Critic. Nobody here has the name @nobody.")


def test_a_conversation_is_renamed_changed_and_deleted(console: Console, tenant: Tenant, session_id: str) -> None:
    talk(console, session_id)
    page = console.page
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("A better title")
    page.get_by_label("Title").press("Enter")
    expect(page.get_by_role("heading", name="A better title", level=1)).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name="A better title")).to_be_visible()
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("radio", name="Council").check()
    page.get_by_label("Chair").select_option("critic")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    session = tenant.http.get(f"sessions/{session_id}").json()
    assert (session["title"], session["mode"], session["chair_key"]) == ("A better title", "council", "critic")
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete conversation").click()
    expect(page.get_by_role("heading", name="Ask the council")).to_be_visible()
    assert tenant.http.get(f"sessions/{session_id}").status_code == 404


def test_a_conversation_is_exported(console: Console, tenant: Tenant, session_id: str, tmp_path: Path) -> None:
    turn = tenant.take(session_id, "@writer hello")
    talk(console, session_id)
    page = console.page
    page.get_by_text("More", exact=True).click()
    for name, suffix in (("Export as JSON", "json"), ("Export as Markdown", "md")):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"session-{session_id}.{suffix}"
        download.value.save_as(tmp_path / suffix)
    assert json.loads((tmp_path / "json").read_text())["turns"] == [turn]
    assert turn["output"] in (tmp_path / "md").read_text()


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_pages_of_asking_have_no_serious_accessibility_fault(
    chromium: Browser, stack: Stack, tenant: Tenant, session_id: str, size: tuple[int, int], scheme: str
) -> None:
    tenant.make_council("panel", "writer", "researcher", "critic")
    tenant.take(session_id, "@writer @critic Write a list.\n\n- one\n- two\n\n```\ncode\n```")
    with opened(chromium, stack.url, size, scheme) as console:
        console.sign_in(token_of(tenant))
        expect(Talk(console.page).box).to_be_visible()
        console.draw(f"new-conversation-{scheme}-{size[0]}")
        assert (console.violations(), console.overflow()) == ([], 0)
        asked = talk(console, session_id)
        asked.ended()
        asked.box.press_sequentially("@")
        console.draw(f"conversation-{scheme}-{size[0]}")
        assert (console.violations(), console.overflow()) == ([], 0)
        asked.box.press("Escape")
        console.page.get_by_role("button", name="Settings").click()
        assert (console.violations(), console.overflow(), console.faults) == ([], 0, [])
