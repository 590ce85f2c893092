"""Tests that a user watches a turn while the connection, the page or its process fails."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import Console, opened
from tests.support.pages.network import Network
from tests.support.pages.talk import talk
from tests.support.stack.tenant import Tenant

WRITER, CRITIC = "You are Writer,", "You are Critic,"
# No stream of these tests has more pieces.
ALL = 200
_POST, _FOLLOW = re.compile(r"/sessions/[^/]+/turns$"), re.compile(r"/turns/[^/]+/events$")


def turns(tenant: Tenant) -> list[str]:
    query = "SELECT status FROM turns WHERE tenant_id = %s ORDER BY turn_index"
    return [row["status"] for row in tenant.rows(query, tenant.id)]


@pytest.fixture
def network(stack: Stack) -> Iterator[Network]:
    with Network(stack.url) as network:
        yield network


@pytest.fixture
def remote(chromium: Browser, network: Network, tenant: Tenant) -> Iterator[Console]:
    """A tab of the tenant's administrator that reaches the stack through `network`."""
    with opened(chromium, network.url) as console:
        console.sign_in(token_of(tenant))
        yield console
        assert console.faults == []


def test_the_words_of_agents_appear_as_they_come(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    assert tenant.http.patch(f"sessions/{session_id}", json={"fan_out": "parallel"}).status_code == 200
    provider.add(moods.stepped("Alpha beta gamma."), when=WRITER)
    provider.add(moods.stepped("Delta epsilon zeta."), when=CRITIC)
    asked = talk(console, session_id)
    asked.send("@writer @critic hello")
    expect(asked.replies).to_have_count(2)
    expect(asked.replies.nth(0)).to_contain_text("writing")
    expect(asked.replies.nth(1)).to_contain_text("writing")
    expect(asked.turns).to_contain_text("You tagged Writer and Critic.")
    provider.step(4)
    expect(asked.replies.filter(has_text=re.compile("Alpha|Delta")).first).to_be_visible()
    assert turns(tenant) == ["running"]
    provider.step(ALL)
    asked.ended()
    expect(asked.replies.nth(0)).to_contain_text("Alpha beta gamma.")
    expect(asked.replies.nth(1)).to_contain_text("Delta epsilon zeta.")


def test_a_turn_is_cancelled_while_it_runs(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when=WRITER)
    asked = talk(console, session_id)
    asked.send("@writer @critic hello")
    tenant.wait_for_requests(1)
    console.page.get_by_role("button", name="Cancel this turn").click()
    expect(console.page.get_by_text("The turn ends before its next call.")).to_be_visible()
    provider.release()
    asked.ended()
    expect(asked.turns).to_contain_text("This turn was cancelled.")
    expect(asked.replies.nth(1)).to_contain_text("not asked")
    assert turns(tenant) == ["cancelled"]


def test_turn_goes_on_and_the_page_says_so_after_a_lost_connection(
    remote: Console, network: Network, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.stepped("One two three."), when=WRITER)
    asked = talk(remote, session_id)
    asked.send("@writer hello")
    provider.step(2)
    expect(asked.replies).to_contain_text("One")
    network.cut()
    # The text is there once more, for screen readers.
    told = remote.main.get_by_text("The connection was lost. The turn goes on; reconnecting …")
    expect(told.first).to_be_visible()
    expect(asked.replies).to_contain_text("One")
    provider.step(ALL)
    network.mend()
    asked.ended()
    expect(asked.replies).to_contain_text("One two three.")
    expect(remote.page.get_by_text("The connection was lost.")).to_have_count(0)
    assert (turns(tenant), len(tenant.requests)) == (["completed"], 1)


def test_a_message_without_an_answer_is_posted_again_under_its_key(
    console: Console, tenant: Tenant, session_id: str
) -> None:
    asked = talk(console, session_id)
    keys = lose_posts(console.page)
    asked.send("@writer hello")
    again = console.main.get_by_text("Sending again under the same key")
    expect(again.first).to_be_visible()
    console.page.reload()
    expect(again.first).to_be_visible()
    console.page.unroute(_POST)
    asked.ended()
    assert turns(tenant) == ["completed"]
    assert len(keys) > 1
    assert {*keys} == {
        tenant.row("SELECT idempotency_key FROM turns WHERE tenant_id = %s", tenant.id)["idempotency_key"]
    }


def lose_posts(page: Page) -> list[str]:
    """Lose the connection of each POST. Returns the idempotency keys of the lost ones."""
    keys: list[str] = []

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        route.abort("connectionreset")

    page.route(_POST, answer)
    return keys


def test_message_without_an_answer_can_be_taken_back(console: Console, tenant: Tenant, session_id: str) -> None:
    asked = talk(console, session_id)
    lose_posts(console.page)
    asked.send("@writer hello")
    console.page.get_by_role("button", name="Stop trying").click()
    expect(asked.box).to_have_value("@writer hello")
    expect(asked.turns).to_have_count(0)
    console.page.reload()
    expect(asked.box).to_have_value("@writer hello")
    assert turns(tenant) == []


def test_a_reload_follows_the_turn_that_runs(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when=CRITIC)
    asked = talk(console, session_id)
    asked.send("@writer @critic hello")
    tenant.wait_for_requests(2)
    console.page.reload()
    expect(asked.replies.nth(0)).to_contain_text("done")
    expect(asked.replies.nth(1)).to_contain_text("writing")
    provider.release()
    asked.ended()
    expect(asked.replies.nth(1)).to_contain_text("done")
    assert turns(tenant) == ["completed"]


def test_a_turn_goes_on_while_another_page_is_shown(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.stepped("One two three."), when=WRITER)
    asked = talk(console, session_id)
    asked.send("@writer hello")
    provider.step(2)
    expect(asked.replies).to_contain_text("One")
    console.navigation("Agents").click()
    expect(asked.replies).to_have_count(0)
    console.page.go_back()
    expect(asked.replies).to_contain_text("One")
    console.navigation("Agents").click()
    provider.step(ALL)
    tenant.wait_for(tenant.http.get(f"sessions/{session_id}/turns").json()["items"][0]["id"])
    console.page.go_back()
    asked.ended()
    expect(asked.replies).to_contain_text("One two three.")


def test_a_turn_that_is_handed_over_is_followed(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    """The provider asks for a pause that exceeds the first process's time."""
    provider.add(moods.status(429, retry_after=9))
    asked = talk(console, session_id)
    asked.send("@writer hello")
    asked.ended()
    expect(asked.replies).to_contain_text("hello")
    assert turns(tenant) == ["completed"]
    assert any("/events" in url for url in fetched(console))


def fetched(console: Console) -> list[str]:
    urls: list[str] = console.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    return urls


def test_a_token_that_expires_in_mid_turn_is_replaced_and_the_turn_goes_on(
    remote: Console, network: Network, stack: Stack, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when=CRITIC)
    asked = talk(remote, session_id)
    asked.send("@writer @critic hello")
    tenant.wait_for_requests(2)
    asked.box.fill("my next question")
    remote.page.route(_FOLLOW, lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}), times=1)
    network.cut()
    network.mend()
    alert = remote.page.get_by_role("alert")
    expect(alert).to_contain_text("Your sign-in has expired")
    remote.page.get_by_label("Token or API key").fill("nobody's")
    remote.page.get_by_role("button", name="Use it").click()
    expect(alert).to_contain_text("Signing in failed")
    remote.page.get_by_label("Token or API key").fill(stack.token(tenant=tenant.id, ttl=timedelta(hours=1)))
    remote.page.get_by_role("button", name="Use it").click()
    expect(alert).to_have_count(0)
    provider.release()
    asked.ended()
    expect(asked.box).to_have_value("my next question")
    assert turns(tenant) == ["completed"]


def test_another_turn_of_the_session_is_offered(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    asked = talk(console, session_id)
    provider.add(moods.hold(), when=WRITER)
    headers = {"Prefer": "respond-async"}
    posted = tenant.http.post(f"sessions/{session_id}/turns", json={"message": "@writer theirs"}, headers=headers)
    assert posted.status_code == 202
    asked.send("@critic mine")
    expect(console.page.get_by_role("alert")).to_contain_text("Another turn of this conversation runs")
    expect(asked.box).to_have_value("@critic mine")
    console.page.get_by_role("button", name="Show that turn").click()
    expect(asked.turns).to_contain_text("theirs")
    provider.release()
    asked.ended()
    asked.box.press("Enter")
    asked.ended(2)


def test_turns_of_others_appear_when_the_window_gets_the_focus(
    console: Console, tenant: Tenant, session_id: str
) -> None:
    asked = talk(console, session_id)
    expect(console.page.get_by_text("Nobody has asked anything yet.")).to_be_visible()
    tenant.take(session_id, "@writer theirs")
    console.page.evaluate("dispatchEvent(new Event('focus'))")
    asked.ended()
    expect(asked.turns).to_contain_text("theirs")


def test_page_keeps_its_scroll_position_after_a_reader_scrolled_up(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    for number in range(12):
        tenant.take(session_id, f"@writer message {number} " + "word\n" * 20)
    asked = talk(console, session_id)
    asked.ended(10)
    expect(asked.turns.last).to_be_in_viewport()
    provider.add(moods.stepped("word\n\n" * 40), when=CRITIC)
    asked.send("@critic hello")
    provider.step(30)
    expect(console.page.get_by_role("button", name="Cancel this turn")).to_be_in_viewport()
    console.main.hover()
    console.page.mouse.wheel(0, -600)
    jump = console.page.get_by_role("button", name="Jump to the newest")
    expect(jump).to_be_visible()
    before = console.main.evaluate("main => main.scrollTop")
    provider.step(ALL)
    asked.ended(11)
    assert console.main.evaluate("main => main.scrollTop") == before
    jump.click()
    expect(asked.turns.last.get_by_role("link", name=re.compile("^This turn cost"))).to_be_in_viewport()
    console.page.get_by_role("button", name="Show earlier turns").click()
    asked.ended(13)
    expect(console.page.get_by_role("button", name="Show earlier turns")).to_have_count(0)


def test_a_member_of_the_tenant_reads_a_shared_session_and_cannot_change_it(
    chromium: Browser, stack: Stack, tenant: Tenant, session_id: str
) -> None:
    assert tenant.http.patch(f"sessions/{session_id}", json={"visibility": "tenant"}).status_code == 200
    tenant.take(session_id, "@writer hello")
    with opened(chromium, stack.url) as console:
        console.sign_in(stack.token(tenant=tenant.id, user="ada", roles=("member",)))
        asked = talk(console, session_id)
        asked.ended()
        expect(console.page.get_by_role("button", name="Rename")).to_have_count(0)
        console.page.get_by_role("button", name="Settings").click()
        expect(console.page.get_by_role("dialog").get_by_role("radio", name="Council")).to_be_disabled()
        assert console.faults == []


def test_failed_turn_shows_a_message(console: Console, tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    provider.add(moods.status(400), times=None)
    asked = talk(console, session_id)
    asked.send("@writer hello")
    asked.ended()
    expect(asked.turns).to_contain_text("This turn failed. No agent answered.")
    assert turns(tenant) == ["failed"]
    assert token_of(tenant) not in console.page.url
