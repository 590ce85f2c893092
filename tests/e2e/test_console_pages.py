"""Tests the console's addresses through the gateway: without a token, and with compression."""

from collections.abc import Iterator

import httpx
import pytest

from functions.api.console_pages import DIST
from local.stack import Stack
from shared.names import COMPRESSED_FROM
from tests.support.stack.tenant import Tenant


@pytest.fixture
def browser(stack: Stack) -> Iterator[httpx.Client]:
    """A client without a token that follows no redirect."""
    with httpx.Client(base_url=stack.url) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/console"])
def test_root_redirects_a_browser_to_the_console(browser: httpx.Client, method: str, path: str) -> None:
    answer = browser.request(method, path)
    assert (answer.status_code, answer.headers["location"], answer.content) == (307, "/console/", b"")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_console_serves_its_page_or_says_that_it_is_missing(browser: httpx.Client) -> None:
    answer = browser.get("/console/")
    if (DIST / "index.html").exists():
        assert (answer.status_code, answer.text) == (200, (DIST / "index.html").read_text())
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "console_missing")


def test_the_console_learns_that_there_is_no_issuer_here(browser: httpx.Client) -> None:
    told = browser.get("/console/config.json").json()
    assert (told["stage"], told["issuer"], told["client_id"]) == ("local", None, None)


@pytest.mark.parametrize(
    "path", ["/console/assets/none.js", "/console/%2e%2e/handler.py", "/console/assets/..%2f..%2fx"]
)
def test_a_name_of_no_file_is_404(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_the_console_takes_no_other_method(browser: httpx.Client) -> None:
    assert browser.post("/console/").status_code == 404


def test_a_long_answer_is_compressed_on_its_way(tenant: Tenant) -> None:
    tenant.make_agents(*(f"agent-{number}" for number in range(9)))
    plain = tenant.http.get("agents", headers={"Accept-Encoding": "identity"})
    coded = tenant.http.get("agents", headers={"Accept-Encoding": "gzip"})
    assert len(plain.content) > COMPRESSED_FROM > int(coded.headers["content-length"])
    assert (plain.headers.get("content-encoding"), coded.headers["content-encoding"]) == (None, "gzip")
    assert coded.json() == plain.json()
