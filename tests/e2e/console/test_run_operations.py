"""Tests the pages on which an operator manages tenants and the platform."""

import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant, open_client


@pytest.fixture
def operator(signed_out: Console, stack: Stack) -> Console:
    """A tab of an operator who belongs to another tenant."""
    signed_out.sign_in(stack.token(tenant="operations", user="olga", roles=("operator",)))
    return signed_out


def test_an_admin_is_told_that_operations_are_the_operators(console: Console) -> None:
    console.open("#/operations")
    expect(console.main).to_contain_text("Only operators of this deployment can open this page.")
    expect(console.navigation("Operations")).to_have_count(0)
    assert {answer.split()[0] for answer in console.refused} == {"403"}


def test_a_tenants_spending_leads_to_its_cap(operator: Console, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    tenant.take(tenant.make_session("writer"), "@writer Hello")
    operator.open("#/operations")
    page = operator.page
    expect(operator.navigation("Operations")).to_be_visible()
    show_all(operator)
    row = page.get_by_role("row").filter(has_text=tenant.id)
    expect(row.get_by_role("cell").last).to_have_text("1")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name=tenant.id)).to_be_visible()
    expect(page.get_by_label("Cap in USD")).to_have_value("100")


def test_the_cap_and_the_allowance_of_a_tenant_are_set(operator: Console, tenant: Tenant) -> None:
    operator.open("#/operations")
    page = operator.page
    page.get_by_label("Open a tenant by its name").fill(tenant.id)
    page.get_by_role("button", name="Open").click()
    page.get_by_label("Cap in USD").fill("a lot")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Cap in USD")).to_have_accessible_description("Enter an amount in USD, such as 12.50.")
    page.get_by_label("Cap in USD").fill("12.50")
    page.get_by_label("An allowance of its own").check()
    page.get_by_label("Allowance in USD").fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"The cap of {tenant.id} was saved.")).to_be_visible()
    budget = tenant.http.get("budget").json()
    assert (budget["cap_usd"], budget["allowance"]["limit_usd"]) == ("12.5", "1")
    page.get_by_label("The deployment's default").first.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Cap in USD")).to_have_value("100")
    budget = tenant.http.get("budget").json()
    assert (budget["cap_usd"], budget["allowance"]["limit_usd"]) == ("100", "1")


def test_the_platforms_limit_is_set_and_taken_away(operator: Console, stack: Stack) -> None:
    operator.open("#/operations/platform")
    page = operator.page
    expect(page.get_by_label("No limit")).to_be_checked()
    page.get_by_label("An amount").check()
    # No test spends as much.
    page.get_by_label("Limit in USD").fill("98765.43")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The platform's limit was saved.")).to_be_visible()
    expect(operator.main).to_contain_text("$98,765.43")
    with open_client(stack.url, stack.token(tenant="operations", roles=("operator",))) as http:
        assert http.get("admin/platform/budget").json()["limit_usd"] == "98765.43"
    page.get_by_label("No limit").check()
    page.get_by_role("button", name="Save").click()
    expect(operator.main.get_by_text("$98,765.43")).to_have_count(0)


def test_a_call_in_suspense_leads_to_its_tenant(operator: Console, tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.close_without_answer(), when="what a writer does")
    turn = tenant.take(tenant.make_session("writer"), "@writer Hello")
    (lost, _) = tenant.calls(turn["id"])
    assert lost["account"] == "suspense"
    operator.open("#/operations/suspense")
    show_all(operator)
    row = operator.page.get_by_role("row").filter(has_text=turn["id"])
    expect(row).to_contain_text(f"Step {lost['step']}, attempt {lost['attempt']}")
    expect(row).to_contain_text(lost["model_alias"])
    expect(row.get_by_role("cell").last).to_have_text(re.compile(r"^\$0\.0*[1-9]"))
    # The turn is another tenant's, which an operator cannot read.
    expect(row.get_by_role("link")).to_have_count(1)
    row.get_by_role("link", name=tenant.id).click()
    expect(operator.page.get_by_role("heading", name=tenant.id)).to_be_visible()


def test_turn_without_a_process_is_listed_as_waiting(
    operator: Console, tenant: Tenant, provider: FakeProvider, stack: Stack
) -> None:
    tenant.make_agents("writer")
    session_id = tenant.make_session("writer")
    provider.add(moods.hold(), when="what a writer does")
    with ThreadPoolExecutor() as threads:
        posted = threads.submit(tenant.post, session_id, "@writer Hello")
        tenant.wait_for_requests(1)
        turn_id = str(tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)["id"])
        with psycopg.connect(stack.owner_url) as other:
            # The lock request is the first in the queue, so a worker that claims the turn waits behind it.
            with tenant.owner.transaction():
                tenant.expire_lease(turn_id)
                locked = threads.submit(other.execute, "SELECT FROM turns WHERE id = %s FOR UPDATE", [turn_id])
                eventually(
                    lambda: tenant.rows("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", other.info.backend_pid)
                )
            locked.result()
            operator.open("#/operations/waiting")
            show_all(operator)
            row = operator.page.get_by_role("row").filter(has_text=turn_id)
            expect(row).to_contain_text("Lost its worker")
            expect(row).to_contain_text(tenant.id)
        provider.release()
        # A sweep may have sent the turn meanwhile.
        assert posted.result().status_code in (201, 202)
    tenant.wait_for(turn_id)
    operator.page.reload()
    expect(operator.main).to_contain_text("Nobody runs these turns.")
    expect(operator.main.get_by_text("Loading …")).to_have_count(0)
    expect(row).to_have_count(0)


def show_all(console: Console) -> None:
    """Read a list to its end."""
    more = console.page.get_by_role("button", name="Show more")
    expect(console.main.get_by_text("Loading …")).to_have_count(0)
    while more.count():
        more.click()
        expect(console.main.get_by_text("Loading …")).to_have_count(0)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_pages_of_operations_have_no_serious_accessibility_fault(
    chromium: Browser, stack: Stack, tenant: Tenant, size: tuple[int, int], scheme: str
) -> None:
    with opened(chromium, stack.url, size, scheme) as console:
        console.sign_in(stack.token(tenant="operations", user="olga", roles=("operator",)))
        sections = ("tenants", f"tenants?tenant={tenant.id}", "platform", "suspense", "waiting")
        for address in (f"operations/{section}" for section in sections):
            console.open(f"#/{address}")
            expect(console.main.get_by_role("heading", level=1)).to_be_visible()
            expect(console.main.get_by_text("Loading …")).to_have_count(0)
            console.draw(f"{re.sub('[^a-z]+', '-', address.split('?')[0])}-{scheme}-{size[0]}")
            assert (address, console.violations(), console.overflow()) == (address, [], 0)
        assert (console.faults, console.refused) == ([], [])
