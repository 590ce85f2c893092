"""Tests that other programs can use the console by its accessible names alone."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import DESKTOP, PHONE, opened
from tests.support.stack.tenant import Tenant

MOST_TABS = 6
PAGES = ("Usage", "Agents", "Councils", "API keys")
_FOLDS = re.compile("menu|navigation|sidebar|sessions", re.IGNORECASE)
_OPENS = ("link", "tab", "button", "menuitem")
_MONEY = re.compile(r"\$\d|USD|¢")


def opener(page: Page, name: str) -> Locator:
    """The control that opens something by this name."""
    first, *others = (page.get_by_role(role, name=name) for role in _OPENS)  # type: ignore[arg-type]
    for other in others:
        first = first.or_(other)
    return first


def shown(page: Page, name: str) -> Locator:
    """The same control, once it is visible; a button that hides it is pressed first."""
    found = opener(page, name)
    expect(found.or_(page.get_by_role("button", name=_FOLDS)).first).to_be_visible()
    if not found.first.is_visible():
        page.get_by_role("button", name=_FOLDS).first.click()
    expect(found.first).to_be_visible()
    return found.first


def focused(page: Page, is_there: Callable[[str], bool]) -> int:
    """Press Tab until the focus is on the element, and return the number of presses. `is_there` gets the element's
    text.
    """
    for presses in range(1, MOST_TABS + 1):
        page.keyboard.press("Tab")
        if is_there(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText || ''")):
            return presses
    raise AssertionError(f"It is more than {MOST_TABS} Tabs away.")


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(
    request: pytest.FixtureRequest, chromium: Browser, stack: Stack, tenant: Tenant, session_id: str
) -> Iterator[Page]:
    """A page of the administrator, whose tenant has a session."""
    assert session_id
    with opened(chromium, stack.url, request.param) as console:
        console.sign_in(token_of(tenant))
        assert "token" not in console.page.url
        yield console.page
        assert console.faults == []


def test_a_session_is_opened_by_its_title_and_asked_by_keyboard(
    page: Page, tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok("Good **day** <b>to you</b>."))
    shown(page, "Talk").click()
    # The page before has a message box, too.
    expect(page.get_by_role("heading", level=1, name="Talk")).to_be_visible()
    box = page.get_by_role("textbox", name=re.compile("message", re.IGNORECASE))
    box.focus()
    page.keyboard.type("@writer Is <i>it</i> good?")
    page.keyboard.press("Escape")
    assert focused(page, lambda text: text.strip().startswith("Send")) <= MOST_TABS
    page.keyboard.press("Enter")
    main = page.get_by_role("main")
    expect(main).to_have_count(1)
    expect(main.get_by_text("@writer Is <i>it</i> good?", exact=True)).to_be_visible()
    expect(main.get_by_text("<b>to you</b>")).to_be_visible()
    expect(main.get_by_text("Writer", exact=True).first).to_be_visible()
    expect(main.get_by_text(_MONEY).first).to_be_visible()
    assert main.locator("b, i").count() == 0
    assert [turn["status"] for turn in tenant.http.get(f"sessions/{session_id}/turns").json()["items"]] == ["completed"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_opened_by_its_name(page: Page, name: str) -> None:
    shown(page, name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    expect(page.get_by_role("main")).to_have_count(1)


def test_usage_has_charts_that_can_be_seen_and_amounts_of_money(page: Page, tenant: Tenant, session_id: str) -> None:
    tenant.take(session_id, "@writer hello")
    shown(page, "Usage").click()
    main = page.get_by_role("main")
    expect(main.get_by_text(_MONEY).first).to_be_visible()
    # Icons are svg too, so a chart is told by its size.
    charts = main.locator("svg, canvas, [role=img]")
    expect(charts.first).to_be_visible()
    page.wait_for_function(
        """() => [...document.querySelectorAll("main svg, main canvas, main [role=img]")]
            .some(each => each.getBoundingClientRect().width >= 100 && each.getBoundingClientRect().height >= 40)"""
    )
    assert all(chart.get_attribute("aria-label") for chart in main.get_by_role("img").all())


def test_a_council_shows_the_names_and_replies_of_all_its_agents(
    page: Page, tenant: Tenant, provider: FakeProvider
) -> None:
    names = ("Writer", "Researcher", "Critic")
    for name in names:
        provider.add(moods.ok(f"The answer of {name}."), when=f"You are {name},")
    tenant.make_council("panel", *(name.lower() for name in names))
    page.reload()
    page.get_by_role("textbox", name=re.compile("message", re.IGNORECASE)).fill("What do you think?")
    page.get_by_role("button", name=re.compile("^Send")).click()
    main = page.get_by_role("main")
    for name in names:
        expect(main.get_by_text(name, exact=True).last).to_be_visible()
        expect(main.get_by_text(f"The answer of {name}.").first).to_be_visible()
    expect(main.get_by_text("What do you think?", exact=True).last).to_be_visible()
    # The session is named after its message.
    expect(shown(page, "What do you think?")).to_be_visible()
