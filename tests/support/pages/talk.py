"""Reads a conversation in the console as a user does."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.support.pages.console import Console


@dataclass(frozen=True)
class Talk:
    """The message box of a page, and the turns above it."""

    page: Page

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def replies(self) -> Locator:
        """The answers, the chair's first in mode `council`."""
        return self.page.locator("article article")

    @property
    def turns(self) -> Locator:
        return self.page.get_by_role("article", name=re.compile(r"^Turn \d+$"))

    def send(self, message: str) -> None:
        self.box.fill(message)
        self.box.press("Enter")

    def ended(self, turns: int = 1) -> None:
        """Wait until the page has `turns` ended turns."""
        expect(self.page.get_by_role("link", name=re.compile("^This turn cost"))).to_have_count(turns)


def talk(console: Console, session_id: str) -> Talk:
    """Open a session."""
    console.open(f"#/sessions/{session_id}")
    opened = Talk(console.page)
    expect(opened.box).to_be_focused()
    return opened
