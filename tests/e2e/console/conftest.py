"""A browser for all tests of the console, and a tab for each. A test fails if its tab complains."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from local.stack import Stack
from tests.support import browser
from tests.support.pages.console import OPTIONS, Console, opened
from tests.support.processes import DEADLINE_S
from tests.support.stack.tenant import Tenant


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The machine's own browser. The gate installs one.

    It ends with the tests of this folder. Until then, Playwright's event loop runs in this thread, and `asyncio.run`
    of another test fails.
    """
    found = browser.find()
    if found is None:
        pytest.skip(f"There is no browser on this machine: none of {', '.join(browser.NAMES)} is on the path.")
    expect.set_options(timeout=DEADLINE_S * 1000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        yield launched
        launched.close()


@pytest.fixture
def signed_out(chromium: Browser, stack: Stack) -> Iterator[Console]:
    """A tab in which nobody has signed in."""
    with opened(chromium, stack.url) as console:
        yield console
        assert console.faults == []


@pytest.fixture
def console(signed_out: Console, tenant: Tenant) -> Console:
    """A tab of the tenant's administrator."""
    signed_out.sign_in(token_of(tenant))
    return signed_out


def token_of(tenant: Tenant) -> str:
    return tenant.http.headers["authorization"].removeprefix("Bearer ")
