"""Tests the pages of usage: every figure leads from the month down to one call."""

import csv
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.stack.tenant import Tenant

GROUPS = ("Day", "Agent", "Model", "User", "API key", "Purpose", "Reason", "Provider")


@pytest.fixture
def turns(tenant: Tenant, session_id: str, provider: FakeProvider) -> list[dict[str, Any]]:
    """Two turns: the Writer and the Critic reply; the Writer replies after an unknown outcome and an empty answer."""
    first = tenant.take(session_id, "@writer @critic How much is it?")
    provider.add(moods.status(500), when="You are Writer,")
    second = tenant.take(session_id, "@writer And now?")
    provider.add(moods.empty(), when="You are Critic,")
    third = tenant.take(session_id, "@critic And then?")
    return [first, second, third]


def usage(console: Console, group: str) -> Locator:
    return console.main.get_by_role("table", name=f"Usage by {group}")


def ledger(console: Console) -> Locator:
    return console.main.get_by_role("table", name="Rows of the ledger")


def exact(text: str) -> Decimal:
    """The exact amount in a text such as "$0.0012" or "−$0.0012"."""
    return Decimal(text.replace("$", "").replace("−", "-").replace(",", ""))


def rows(tenant: Tenant, **filters: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = tenant.http.get("usage/calls", params={"limit": 100, **filters}).json()["items"]
    return items


def total(items: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(item["amount_usd"]) for item in items), Decimal(0))


@pytest.mark.usefixtures("turns")
@pytest.mark.parametrize("group", GROUPS)
def test_usage_has_a_chart_and_a_table_for_each_group(console: Console, tenant: Tenant, group: str) -> None:
    console.open("#/usage")
    console.main.get_by_role("link", name=group, exact=True).click()
    word = group if group == "API key" else group.lower()
    foot = usage(console, word).locator("tfoot")
    expect(foot).to_contain_text("Total")
    chart = console.main.get_by_role("img", name=re.compile("^Cost (per|by) .*stacked"))
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box
    assert box["width"] >= 100
    assert box["height"] >= 40
    (sums,) = tenant.http.get("usage").json()["items"]
    pays, platform = foot.locator("td a").nth(0), foot.locator("td a").nth(1)
    assert exact(pays.get_attribute("title") or "") == Decimal(sums["cost_usd"])
    assert exact(platform.get_attribute("title") or "") == Decimal(sums["platform_cost_usd"])
    expect(foot.locator("td").nth(3)).to_have_text(str(sums["calls"]))


def test_figure_links_to_its_rows_and_a_row_to_its_call(
    console: Console, tenant: Tenant, turns: list[dict[str, Any]]
) -> None:
    console.open("#/usage?by=agent")
    row = usage(console, "agent").get_by_role("row").filter(has=console.page.get_by_role("rowheader", name="Critic"))
    figure = row.get_by_role("link").first
    expected = total(rows(tenant, agent_key="critic", account="tenant"))
    assert exact(figure.get_attribute("title") or "") == expected
    figure.click()
    expect(console.main.get_by_role("heading", name="Ledger")).to_be_visible()
    body = ledger(console).locator("tbody tr")
    expect(body).to_have_count(2)
    expect(body.filter(has_text="Critic")).to_have_count(2)
    assert exact(ledger(console).locator("tfoot td").first.inner_text()) == expected
    body.last.get_by_role("link").click()
    expect(console.main.get_by_role("heading", name="Turn 1")).to_be_visible()
    assert f"#/turns/{turns[0]['id']}?call=1-1" in console.page.url
    marked = console.main.get_by_role("table", name="Calls of this turn").locator("tr[aria-current=true]")
    expect(marked.get_by_role("rowheader")).to_have_text("Critic")


@pytest.mark.usefixtures("turns")
def test_a_row_shows_the_arithmetic_of_its_amount(console: Console, tenant: Tenant) -> None:
    (reply, *_) = rows(tenant, agent_key="critic", reason="reply")
    console.open("#/usage/calls?agent_key=critic&reason=reply")
    button = ledger(console).get_by_role("button").first
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    sums = console.main.get_by_role("table", name="How it adds up")
    products = [row.locator("td").all_inner_texts() for row in sums.locator("tbody tr").all()]
    used = reply["usage"]
    assert [int(tokens.replace(",", "")) for tokens, *_ in products] == [count for count in used.values() if count]
    assert sum(exact(product) for *_, product in products) == Decimal(reply["amount_usd"])
    expect(console.main.get_by_text("This is the amount of the row.")).to_be_visible()


@pytest.mark.usefixtures("turns")
def test_row_in_suspense_shows_that_no_account_is_charged(console: Console) -> None:
    console.open("#/usage/calls?account=suspense")
    expect(ledger(console).locator("tbody tr")).to_have_count(1)
    ledger(console).get_by_role("button").click()
    expect(console.main.get_by_text("The amount is the reserve of the call")).to_be_visible()
    expect(console.main.get_by_text("Nobody is charged with this row until the call is settled.")).to_be_visible()


@pytest.mark.usefixtures("turns")
def test_a_filter_is_shown_and_taken_away(console: Console, tenant: Tenant) -> None:
    console.open("#/usage/calls?agent_key=critic&account=platform")
    expect(ledger(console).locator("tbody tr")).to_have_count(len(rows(tenant, agent_key="critic", account="platform")))
    chips = console.main.get_by_role("list", name="Filters")
    expect(chips.get_by_role("listitem")).to_have_text(["Account Platform", "Agent Critic"])
    console.main.get_by_role("link", name="Remove the filter Agent: Critic").click()
    expect(chips.get_by_role("listitem")).to_have_text(["Account Platform"])
    console.page.keyboard.press("Tab")
    expect(console.main.get_by_role("link", name="Remove the filter Account: Platform")).to_be_focused()
    console.main.get_by_role("link", name="Remove the filter Account: Platform").click()
    expect(console.main.get_by_text("No filter: all rows of the period.")).to_be_visible()
    expect(ledger(console).locator("tbody tr")).to_have_count(len(rows(tenant)))


@pytest.mark.usefixtures("turns")
def test_an_empty_filter_finds_the_rows_without_a_key(console: Console, tenant: Tenant) -> None:
    console.open("#/usage?by=key")
    usage(console, "API key").get_by_role("row", name="Without an API key").get_by_role("link").nth(3).click()
    expect(ledger(console).locator("tbody tr")).to_have_count(len(rows(tenant, api_key_id="")))
    expect(console.main.get_by_role("link", name="Remove the filter API key: Without an API key")).to_be_visible()


@pytest.mark.usefixtures("turns")
def test_the_csv_has_every_row_of_the_period(console: Console, tenant: Tenant) -> None:
    console.open("#/usage")
    with console.page.expect_download() as download:
        console.main.get_by_role("button", name="Download CSV").click()
    assert re.fullmatch(r"pantheon-usage-\d{4}-\d\d-01-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    kept = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    stored = rows(tenant)
    assert sorted(row["call_id"] for row in kept) == sorted(row["call_id"] for row in stored)
    assert sum(Decimal(row["amount_usd"]) for row in kept) == total(stored)


@pytest.mark.usefixtures("turns")
def test_the_csv_of_the_ledger_follows_every_page_and_keeps_its_filters(console: Console, tenant: Tenant) -> None:
    # Pages of one row each, so that the file has several.
    console.page.route(
        "**/api/v1/usage/calls?*",
        lambda route: route.continue_(
            url=route.request.url if "limit=" in route.request.url else f"{route.request.url}&limit=1"
        ),
    )
    console.open("#/usage/calls?account=tenant")
    expect(ledger(console).locator("tbody tr").first).to_be_visible()
    with console.page.expect_download() as download:
        console.main.get_by_role("button", name="Download CSV").click()
    kept = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    stored = rows(tenant, account="tenant")
    assert len(stored) > 1
    assert [row["call_id"] for row in kept] == [row["call_id"] for row in stored]


def test_admin_sets_the_limit_and_a_bad_limit_shows_a_message(console: Console, tenant: Tenant) -> None:
    console.open("#/usage")
    console.main.get_by_role("button", name="Set the limit").click()
    dialog = console.page.get_by_role("dialog", name="Limit of every month")
    amount = dialog.get_by_label("Limit in USD")
    amount.fill("1,5")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Write an amount such as 12.50")
    expect(amount).to_have_attribute("aria-invalid", "true")
    amount.fill("100000")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("above the operator's cap")
    amount.fill("12.50")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).not_to_be_visible()
    expect(console.main.get_by_role("definition").filter(has_text="$12.50")).to_have_count(2)
    assert tenant.http.get("budget").json()["limit_usd"] == "12.5"
    console.main.get_by_role("button", name="Set the limit").click()
    dialog.get_by_label("No limit of its own").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).not_to_be_visible()
    budget = tenant.http.get("budget").json()
    assert budget["limit_usd"] == budget["cap_usd"]
    assert console.refused == ["422 PUT /api/v1/budget"]


def test_a_member_cannot_set_the_limit(chromium: Browser, stack: Stack, tenant: Tenant) -> None:
    with opened(chromium, stack.url) as member:
        member.sign_in(stack.token(tenant=tenant.id, user="somebody", roles=("member",)))
        member.open("#/usage")
        expect(member.main.get_by_role("heading", name="Budget")).to_be_visible()
        expect(member.main.get_by_text("Nothing was used in this period.")).to_be_visible()
        expect(member.main.get_by_role("button", name="Set the limit")).to_have_count(0)
        assert member.faults == []


@pytest.mark.usefixtures("turns")
def test_a_period_is_chosen_by_presets_and_by_days(console: Console) -> None:
    console.open("#/usage?by=agent")
    console.main.get_by_role("link", name="Last month").click()
    expect(console.main.get_by_text("Nothing was used in this period.")).to_be_visible()
    console.main.get_by_role("link", name="Last 7 days").click()
    expect(usage(console, "agent")).to_be_visible()
    console.main.get_by_label("First day").fill("2026-03-05")
    console.main.get_by_label("Last day").fill("2026-03-04")
    console.main.get_by_role("button", name="Show").click()
    expect(console.main.get_by_role("alert")).to_contain_text("The last day is before the first day.")
    console.main.get_by_label("Last day").fill("2026-03-05")
    console.main.get_by_role("button", name="Show").click()
    expect(console.main.get_by_text("Nothing was used in this period.")).to_be_visible()
    assert console.page.url.endswith("#/usage?from=2026-03-05&to=2026-03-06&by=agent")


@pytest.mark.usefixtures("turns")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_usage_and_ledger_have_no_serious_accessibility_fault(
    chromium: Browser, stack: Stack, tenant: Tenant, size: tuple[int, int], scheme: str
) -> None:
    with opened(chromium, stack.url, size, scheme) as console:
        console.sign_in(token_of(tenant))
        for name, address in (("usage", "usage"), ("usage-by-agent", "usage?by=agent"), ("ledger", "usage/calls")):
            console.open(f"#/{address}")
            expect(console.main.get_by_role("table").first).to_be_visible()
            console.draw(f"{name}-{scheme}-{size[0]}")
            assert console.violations() == []
            assert console.overflow() == 0
        assert console.faults == []
