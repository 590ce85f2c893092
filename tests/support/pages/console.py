"""Drives a browser tab with the console."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Response, expect

ROOT: Final = Path(__file__).parents[3]
SCREENSHOTS: Final = ROOT / "build" / "screenshots"
DESKTOP, PHONE = (1280, 860), (390, 844)
_AXE: Final = ROOT / "functions/api/console/node_modules/axe-core/axe.min.js"
# The browser starts nothing of its own and finds no other machine.
OPTIONS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
# The browser tells of an answer that is no success in the same way as of a fault of the page.
_ANSWER: Final = "Failed to load resource"


@dataclass
class Console:
    """`faults` is what the browser complains about: exceptions, errors on its console, a policy that was violated, and
    requests to another origin. `refused` are the answers of the API that were no success, such as `409 POST /api/…`."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def open(self, address: str = "#/") -> None:
        """Go to an address inside the console."""
        self.page.goto(f"{self.url}/console/{address}")

    def sign_in(self, token: str) -> None:
        """Open the link that `pantheon run` prints."""
        self.page.goto(f"{self.url}/console/#token={token}")
        expect(self.page.get_by_role("link", name="Usage", exact=True, include_hidden=True)).to_be_attached()

    def navigation(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    @property
    def main(self) -> Locator:
        return self.page.get_by_role("main")

    def violations(self) -> list[str]:
        """The serious faults that axe finds, each with its places."""
        self.page.evaluate(_AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
        return [f"{rule['id']}: {node['html'][:200]}" for rule in serious for node in rule["nodes"]]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return max(0, width)

    def draw(self, name: str) -> None:
        """Keep a picture of the window in build/screenshots."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@contextmanager
def opened(
    browser: Browser, url: str, size: Sequence[int] = DESKTOP, scheme: Any = "light", **options: Any
) -> Iterator[Console]:
    """Open a tab of its own. Raises nothing for a fault of the page; `faults` keeps it."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context: BrowserContext = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
    try:
        console = Console(context.new_page(), url)
        _listen(console)
        yield console
    finally:
        context.close()


def _listen(console: Console) -> None:
    def tell(message: ConsoleMessage) -> None:
        if message.type == "error" and _ANSWER not in message.text:
            console.faults.append(message.text)

    def answered(response: Response) -> None:
        path = response.url.removeprefix(console.url)
        if path == response.url and not response.url.startswith(("data:", "blob:")):
            console.faults.append(f"another origin: {response.url}")
        if response.status >= 400:
            console.refused.append(f"{response.status} {response.request.method} {path}")

    console.page.on("console", tell)
    console.page.on("pageerror", lambda error: console.faults.append(str(error)))
    console.page.on("response", answered)
