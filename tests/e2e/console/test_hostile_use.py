"""Tests repeated clicks, invented addresses, and answers of a later release."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.support.pages.console import Console
from tests.support.pages.talk import Talk, talk
from tests.support.stack.tenant import Tenant

_TWICE = "selector => { for (const _ of [1, 2, 3]) document.querySelector(selector).requestSubmit() }"
Change = Callable[[dict[str, Any]], object]


def test_a_message_is_posted_once_when_it_is_sent_twice_at_once(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer", mode="manual")
    conversation = talk(console, session_id)
    conversation.box.fill("hello")
    console.page.evaluate(_TWICE, "form.composer")
    conversation.ended()
    assert len(tenant.http.get(f"sessions/{session_id}/turns").json()["items"]) == 1


def test_one_conversation_begins_when_the_first_message_is_sent_twice_at_once(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    console.page.reload()
    new = Talk(console.page)
    new.box.fill("hello")
    console.page.evaluate(_TWICE, "form.composer")
    new.ended()
    assert len(tenant.http.get("sessions").json()["items"]) == 1


def test_one_key_is_made_when_the_form_is_sent_twice_at_once(console: Console, tenant: Tenant) -> None:
    console.open("#/api-keys")
    console.page.get_by_role("button", name="New API key").click()
    console.page.get_by_label("Name").fill("once")
    console.page.evaluate(_TWICE, "dialog form")
    expect(console.page.get_by_role("button", name="I have copied the key")).to_be_visible()
    assert len(tenant.http.get("api-keys").json()["items"]) == 1


@pytest.mark.parametrize("group", ["constructor", "__proto__", "toString"])
def test_the_usage_page_shows_days_when_the_group_is_no_group(console: Console, group: str) -> None:
    console.open(f"#/usage?by={group}")
    expect(console.page.get_by_role("link", name="Day", exact=True)).to_have_attribute("aria-current", "page")
    expect(console.page.get_by_role("status").filter(has_text=re.compile("[Nn]othing"))).to_be_visible()
    assert console.refused == []


def _alter(console: Console, address: str, change: Change) -> None:
    """Change what the API answers at an address, as another release could."""

    def answer(route: Route) -> None:
        if route.request.method != "GET":
            return route.fallback()
        response = route.fetch()
        body = json.loads(response.text())
        change(body)
        return route.fulfill(response=response, json=body)

    console.page.route(re.compile(address), answer)


def _change_turn(turn: dict[str, Any]) -> None:
    turn["plan"] |= {"source": "dice", "later": {"x": 1}}
    turn["mode"] = "debate"
    turn["fallbacks"] = [{"component": "oracle", "reason": "constructor"}]
    for reply in turn["replies"]:
        reply |= {"status": "pondered", "stop_reason": "constructor"}


def _change_turns(page: dict[str, Any]) -> None:
    for turn in page["items"]:
        _change_turn(turn)


def _change_session(session: dict[str, Any]) -> None:
    session |= {"mode": "debate", "visibility": "galaxy", "origin": "telex"}


def test_a_conversation_of_a_later_release_is_readable(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer", mode="manual")
    tenant.take(session_id, "hello")
    _alter(console, rf"/sessions/{session_id}$", _change_session)
    _alter(console, r"/turns\?", _change_turns)
    conversation = talk(console, session_id)
    expect(console.main).to_contain_text("You said: hello")
    expect(console.main).to_contain_text("Asked: Writer.")
    conversation.send("again")
    conversation.ended(2)


def test_a_turn_of_a_later_release_is_readable(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    turn = tenant.take(tenant.make_session("writer", mode="manual"), "hello")
    _alter(console, rf"/turns/{turn['id']}$", _change_turn)
    _alter(
        console,
        r"/calls$",
        lambda page: [call.update(status="paused", verdict="maybe", purpose="oracle") for call in page["items"]],
    )
    console.open(f"#/turns/{turn['id']}")
    expect(console.main).to_contain_text("hello")
    expect(console.main).to_contain_text("Writer")
    expect(console.page.get_by_role("button", name="Reload")).to_have_count(0)


def test_page_that_fails_to_render_shows_an_error_and_other_pages_work(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    _alter(console, r"/api/v1/models$", lambda page: [model.pop("rates") for model in page["items"]])
    console.open("#/models")
    expect(console.page.get_by_role("alert")).to_contain_text("cannot be shown")
    console.navigation("Agents").click()
    expect(console.page.get_by_role("link", name="Writer")).to_be_visible()
    assert console.faults
    console.faults.clear()


def test_a_session_with_an_invisible_title_can_be_opened(console: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer")
    tenant.http.patch(f"sessions/{session_id}", json={"title": "\u200b\u200b"})
    console.page.reload()
    console.navigation("Untitled conversation").click()
    expect(console.page.get_by_role("heading", name="Untitled conversation")).to_be_visible()
