"""Tests the pages of a turn and of a conversation's memory."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.stack.tenant import Tenant

MANAGER = "You route messages"
MEMORY, LISTS = "You keep the memory", "You extract"


def table(console: Console, name: str) -> Locator:
    return console.main.get_by_role("table", name=name)


def cells(rows: Locator) -> list[list[str]]:
    """The text of each cell, by row."""
    return [row.locator("th, td").all_inner_texts() for row in rows.all()]


def failing_turn(tenant: Tenant, session_id: str, provider: FakeProvider) -> dict[str, Any]:
    """A turn that a manager routes to the Writer, whose first call has an unknown outcome and whose second replies."""
    provider.add(moods.ok(json.dumps({"selected_agent_keys": ["writer"], "reason": "x"})), when=MANAGER)
    provider.add(moods.status(500), when="You are Writer,")
    return tenant.take(session_id, "Is <b>it</b> good?", mode="orchestrator")


def test_a_turn_shows_its_calls_with_retries_and_what_they_cost(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    turn = failing_turn(tenant, session_id, provider)
    console.open(f"#/turns/{turn['id']}")
    expect(console.main.get_by_role("heading", name="Turn 1")).to_be_visible()
    expect(console.main.get_by_text("Is <b>it</b> good?", exact=True)).to_be_visible()
    expect(console.main.get_by_text("A routing call chose them.")).to_be_visible()
    chart = console.main.get_by_role("img", name="Waterfall of 3 calls")
    box = chart.bounding_box()
    assert box
    assert box["width"] >= 100
    assert box["height"] >= 40
    rows = table(console, "Calls of this turn").locator("tbody tr")
    expect(rows).to_have_count(3)
    # The page gets the audit, which has the reason, after the calls.
    expect(rows.nth(1)).to_contain_text("the provider failed")
    shown = cells(rows)
    assert [(row[0], row[1], row[2]) for row in shown] == [
        ("0", "Routing", "fast"),
        ("1", "Writer", "fast"),
        ("1", "Writer attempt 2", "fast"),
    ]
    assert [row[5].split("\n") for row in shown] == [
        ["Answered"],
        ["Unknown outcome", "the provider failed"],
        ["Answered"],
    ]
    expect(console.main.get_by_text("Nobody is charged until the provider's record settles")).to_be_visible()
    assert [int(row[6].replace(",", "")) for row in shown] == [
        call["input_tokens"] for call in tenant.calls(turn["id"])
    ]
    expect(console.main.get_by_role("link", name="Back to Talk")).to_have_attribute("href", f"#/sessions/{session_id}")


def test_an_address_of_a_call_marks_its_row(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    turn = failing_turn(tenant, session_id, provider)
    console.open(f"#/turns/{turn['id']}?call=1-2")
    marked = table(console, "Calls of this turn").locator("tr[aria-current=true]")
    expect(marked).to_have_count(1)
    expect(marked.get_by_role("rowheader")).to_have_text("Writer attempt 2")


def reviewed(provider: FakeProvider) -> None:
    """Every reviewer ranks the two answers that it is shown."""
    for letters in ("AB", "AC", "BC"):
        ranking = moods.ok(json.dumps({"ranking": list(letters)}))
        provider.add(ranking, when=f"letters once: {', '.join(letters)}")


def test_a_council_shows_who_ranked_whom(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    reviewed(provider)
    turn = tenant.take(session_id, "Is it good?", mode="council")
    console.open(f"#/turns/{turn['id']}")
    names = {"writer": "Writer", "researcher": "Researcher", "critic": "Critic"}
    standings = table(console, "Standings").locator("tbody tr")
    expect(standings).to_have_count(3)
    assert cells(standings) == [
        [str(place), names[each["agent_key"]], each["average_rank"]] for place, each in enumerate(turn["standings"], 1)
    ]
    assert cells(table(console, "Who ranked whom").locator("tbody tr")) == [
        [names[review["agent_key"]], *(names[key] for key in review["ranking"])] for review in turn["reviews"]
    ]
    assert [row[1] for row in cells(table(console, "Calls of this turn").locator("tbody tr"))][-1] == "Writer (chair)"


def test_turn_shows_each_fallback_with_its_reason(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok("I would ask the critic."), when=MANAGER)
    turn = tenant.take(session_id, "Is it good?", mode="orchestrator")
    console.open(f"#/turns/{turn['id']}")
    expect(
        console.main.get_by_text(
            "The routing call could not be used. Pantheon chose the agents without it."
            " The reason: the answer was not JSON."
        )
    ).to_be_visible()


def test_the_audit_shows_the_providers_words_to_admins_alone(
    chromium: Browser, stack: Stack, console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    tenant.http.patch(f"sessions/{session_id}", json={"visibility": "tenant"})
    provider.add(moods.ok("<think>SECRET ...</think>Use tests."), when="You are Writer,")
    provider.add(moods.status(400), when="You are Critic,")
    turn = tenant.take(session_id, "@writer @critic How?")
    console.open(f"#/turns/{turn['id']}")
    console.main.get_by_text("Step 0, attempt 1: Agent, fast").click()
    expect(console.main.get_by_text("SECRET ...", exact=True)).to_be_visible()
    console.main.get_by_text("Step 1, attempt 1: Agent, fast: the provider refused the request").click()
    expect(console.main.get_by_text("No.", exact=True)).to_be_visible()
    with opened(chromium, stack.url) as member:
        member.sign_in(stack.token(tenant=tenant.id, user="somebody", roles=("member",)))
        member.open(f"#/turns/{turn['id']}")
        expect(member.main.get_by_text("Only admins see the provider's words")).to_be_visible()
        assert "SECRET" not in member.page.content()
        assert member.faults == []


def test_a_running_turn_is_followed_to_its_end(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when="You are Writer,")
    posted = tenant.http.post(
        f"sessions/{session_id}/turns", json={"message": "@writer Go."}, headers={"Prefer": "respond-async"}
    ).json()
    tenant.wait_for_requests(1)
    console.open(f"#/turns/{posted['id']}")
    expect(console.main.get_by_role("status").filter(has_text="The turn runs. Finished steps: 0.")).to_be_visible()
    rows = table(console, "Calls of this turn").locator("tbody tr")
    expect(rows).to_contain_text("Running")
    expect(rows.get_by_role("rowheader")).to_have_text("Writer")
    provider.release()
    expect(console.main.get_by_text("Completed", exact=True)).to_be_visible()
    expect(rows).to_contain_text("Answered")
    turn = tenant.wait_for(posted["id"])
    assert turn["status"] == "completed"


def test_page_of_an_unknown_turn_shows_a_message(console: Console) -> None:
    console.open("#/turns/01a22de6-1e8d-7142-8411-5482b32fbe1c")
    expect(console.main.get_by_role("alert")).to_be_visible()
    expect(console.main.get_by_role("button", name="Try again")).to_be_visible()


def remembered(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    """Two summaries of 24 turns. The second one replaces a fact and closes a question."""
    first = {"add": {"key_facts": ["It is May"], "open_questions": ["Who pays?"]}, "replace": [], "close": []}
    second = {
        "add": {"decisions": ["The team pays"]},
        "replace": [{"id": "F1", "text": "It is June"}],
        "close": [{"id": "Q1", "reason": "answered"}],
    }
    for text, changes in (("They count to **twelve**.", first), ("They count on.", second)):
        provider.add(moods.ok(text), when=MEMORY)
        provider.add(moods.ok(json.dumps(changes)), when=LISTS)
        for number in range(12):
            tenant.take(session_id, f"@writer {number}")


def test_the_summary_shows_lists_archive_and_history(
    console: Console, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    remembered(tenant, session_id, provider)
    console.open(f"#/sessions/{session_id}/summary")
    expect(console.main.get_by_text("They count on.")).to_be_visible()
    expect(console.main.get_by_text("It is June turn 24", exact=True)).to_be_visible()
    expect(console.main.get_by_text("The team pays turn 24", exact=True)).to_be_visible()
    archive = table(console, "Archive").locator("tbody tr")
    expect(archive).to_have_count(2)
    shown = {row[0]: (row[1], row[2].split("\n")) for row in cells(archive)}
    assert shown == {
        "It is May": ("Key facts", ["A newer wording replaced it.", "Now: It is June"]),
        "Who pays?": ("Open questions", ["The question was answered."]),
    }
    console.main.get_by_role("link", name="Up to turn 12").click()
    expect(console.main.get_by_text("This is an older summary.")).to_be_visible()
    expect(console.main.locator("strong", has_text="twelve")).to_be_visible()
    console.main.get_by_role("link", name="turn 12", exact=True).first.click()
    expect(console.main.get_by_role("heading", name="Turn 12")).to_be_visible()
    expect(console.main.get_by_text("This turn wrote a summary.")).to_be_visible()


def test_summary_page_shows_a_message_without_a_summary(console: Console, session_id: str) -> None:
    console.open(f"#/sessions/{session_id}/summary")
    expect(console.main.get_by_text("This conversation has no summary yet.")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_turn_and_summary_pages_have_no_serious_accessibility_fault(
    chromium: Browser,
    stack: Stack,
    tenant: Tenant,
    session_id: str,
    provider: FakeProvider,
    size: tuple[int, int],
    scheme: str,
) -> None:
    reviewed(provider)
    turn = tenant.take(session_id, "Is it good?", mode="council")
    provider.add(moods.ok(json.dumps({"add": {"key_facts": ["It is May"]}})), when=LISTS)
    for number in range(11):
        tenant.take(session_id, f"@writer {number}")
    with opened(chromium, stack.url, size, scheme) as console:
        console.sign_in(token_of(tenant))
        for name, address in (("turn", f"turns/{turn['id']}"), ("summary", f"sessions/{session_id}/summary")):
            console.open(f"#/{address}")
            expect(console.main.get_by_role("heading", level=2).first).to_be_visible()
            expect(console.main.get_by_role("link", name="Back to Talk")).to_be_visible()
            console.draw(f"{name}-{scheme}-{size[0]}")
            assert console.violations() == []
            assert console.overflow() == 0
        assert console.faults == []
