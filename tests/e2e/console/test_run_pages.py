"""Tests the operators' pages of models and health, and the accessibility of all pages."""

import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.pages.console import DESKTOP, PHONE, Console, opened
from tests.support.stack.tenant import Tenant

PAGES = (
    *("agents", "agents/new", "agents/writer", "councils", "councils/new", "councils/panel"),
    *("api-keys", "models", "health"),
)


def test_models_are_listed_with_their_exact_prices(console: Console, tenant: Tenant) -> None:
    console.open("#/models")
    for model in tenant.http.get("models").json()["items"]:
        row = console.page.get_by_role("row").filter(
            has=console.page.get_by_role("link", name=model["alias"], exact=True)
        )
        expect(row).to_contain_text(model["provider"])
        expect(row).to_contain_text(f"{model['context_window']:,}")
        whole, _, fraction = model["rates"]["cache_read"].partition(".")
        expect(row).to_contain_text(f"${whole}.{fraction.ljust(2, '0')}")


def test_health_shows_working_checks_and_the_user(console: Console, tenant: Tenant) -> None:
    console.open("#/health")
    page = console.page
    expect(page.get_by_text("Everything works")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="The database answers")).to_contain_text("Works")
    expect(console.main).to_contain_text(tenant.id)
    for address in (f"{console.url}/v1", f"{console.url}/mcp"):
        expect(page.get_by_text(address, exact=True)).to_be_visible()


def test_health_shows_failed_checks(console: Console) -> None:
    checks = {"database": "ok", "migration": "0019", "journal": "failing: the journal cannot be written"}
    body = {"status": "unavailable", "version": "1", "stage": "live", "commit": "abc1234", "checks": checks}
    console.page.route("**/api/v1/health", lambda route: route.fulfill(status=503, json=body))
    console.open("#/health")
    expect(console.main).to_contain_text("Turns may be refused until it is fixed.")
    failing = console.page.get_by_role("listitem").filter(has_text="Calls and their cost")
    expect(failing).to_contain_text("Fails")
    expect(failing).to_contain_text("the journal cannot be written")
    expect(console.main).to_contain_text("abc1234")


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_pages_have_no_serious_accessibility_fault(
    chromium: Browser, stack: Stack, tenant: Tenant, size: tuple[int, int], scheme: str
) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_council("panel", "writer", "critic")
    assert tenant.http.post("api-keys", json={"name": "CI"}).status_code == 201
    with opened(chromium, stack.url, size, scheme) as console:
        console.sign_in(token_of(tenant))
        for address in PAGES:
            console.open(f"#/{address}")
            expect(console.main.get_by_role("heading", level=1)).to_be_visible()
            expect(console.main.get_by_text("Loading …")).to_have_count(0)
            console.draw(f"{address.replace('/', '-')}-{scheme}-{size[0]}")
            assert (address, console.violations(), console.overflow()) == (address, [], 0)
        assert (console.faults, console.refused) == ([], [])
