"""Tests that an exported session reads as the same document in CommonMark for every text."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from markdown_it import MarkdownIt

from functions.api.markdown import render
from shared.db.api.export import ExportPage
from shared.domain.summary import LETTERS

WHEN = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
# Each tries to end its place, to begin another one, or to be more than text.
TEXTS = {
    "plain": "Hello.",
    "nothing": "",
    "a fence": "```\n# Turn 7\n```",
    "the end of a fence": "```\n\n## Turn 7\n\nI said so.",
    "a long fence": "before\n" + "`" * 9 + "\n# Turn 7\n",
    "a fence after a carriage return": "a\r```\r# Turn 7",
    "a fence of tildes": "~~~\n# Turn 7\n~~~",
    "an indented fence": "   ```\n# Turn 7",
    "headings": "# Turn 7\n## Turn 8\nTurn 9\n======\n",
    "HTML": "<script>alert(1)</script>\n<!-- \n</div>",
    "a link": "[here](http://example.org) ![x](http://example.org/x.png) <http://example.org>",
    "a reference": "[Turn 1]: http://example.org\n\n[Turn 1]",
    "a quote and a list": "> # Turn 7\n- # Turn 8\n1. x",
    "a table and a line": "| a | b |\n|---|---|\n\n---\n***\n",
    "backslashes": "\\`\\`\\` \\# \\\\",
    "ticks alone": "`````",
    "entities": "&#35; Turn 7 &lt;b&gt; &amp;",
    "other line ends": "a\x0b# b\x0c# c\x85# d\u2028# e\u2029# f",
    "directions": "\u202eabc\u202c\u2066",
    "blanks": "   ",
    "front matter": "---\ntitle: x\n---\n",
}


def turn(text: str, name: str = "Writer") -> str:
    replies = [
        {"name": name, "status": "completed", "text": text, "error": None},
        {"name": "Critic", "status": "failed", "text": None, "error": {"code": "empty_reply", "detail": ""}},
    ]
    said = {"turn_index": 1, "created_at": "2026-01-02T03:04:05.000006Z", "mode": "tag", "status": "completed"}
    return json.dumps({**said, "cost_usd": "0.1", "message": text, "replies": replies})


def page(text: str, **changes: Any) -> ExportPage:
    session = {
        "id": UUID(int=7),
        "title": text,
        "mode": "tag",
        "fan_out": "sequential",
        "chair_key": None,
        "agent_keys": ["writer"],
    }
    session |= {"created_by": text, "visibility": "private"}
    items = [
        {"id": f"{letter}{number}", "list": name, "text": said, "turn_index": 1}
        for name, letter in LETTERS.items()
        for number, said in enumerate((text, "second"), 1)
    ]
    given: dict[str, Any] = {
        "session": {**session, "created_at": WHEN},
        "names": {"writer": text},
        "turns": {1: turn(text, text or "Nobody")},
        "summaries": {1: {"text": text, "through_turn_index": 1, "items": items, "last_numbers": {}}},
        "after": None,
        "active_turn_id": None,
        "next_cursor": None,
    }
    return ExportPage(**given | changes)


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@pytest.mark.parametrize("name", TEXTS)
def test_text_with_markup_is_exported_as_plain_text(name: str) -> None:
    text = TEXTS[name]
    tokens = MarkdownIt("commonmark").parse(render(page(text)))
    line = one_line(text)
    headings = [token.children or [] for before, token in pairwise(tokens) if before.type == "heading_open"]
    assert ["".join(part.content for part in heading) for heading in headings] == [
        line or "Session",
        "Turn 1",
        "User",
        line or ("Nobody" if not text else ""),
        "Critic",
        "Summary through turn 1",
        "Key facts",
        "Decisions",
        "Open questions",
        "Action items",
    ]
    fences = [token.content for token in tokens if token.type == "fence"]
    assert fences == [text.replace("\r", "\n") + "\n"] * 3
    assert {token.type for token in tokens} <= {
        *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "fence"),
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
    }
    marks = {child.type for token in tokens for child in token.children or ()}
    assert marks <= {"text", "text_special", "softbreak"}


def test_the_first_page_begins_with_the_session_and_later_ones_go_on() -> None:
    first, second = render(page("Talk")), render(page("Talk", after=1, turns={2: turn("Hello.")}, summaries={}))
    assert first.startswith("# Talk\n\n- Session: 00000000-0000-0000-0000-000000000007\n- Made: 2026-01-02T03:04:05")
    assert second.startswith("## Turn 1\n")
    assert second.endswith("\n\n")
    assert first.endswith("\n\n")


def test_turn_that_has_not_ended_is_marked() -> None:
    assert render(page("Talk", active_turn_id=UUID(int=9))).endswith(f"The turn {UUID(int=9)} has not ended yet.\n\n")


def test_agent_without_an_answer_has_its_reason() -> None:
    assert "### Critic\n\nfailed: empty_reply\n\n" in render(page("Talk"))


def test_text_without_marks_is_unchanged() -> None:
    rendered = render(page("Hello, Ada"))
    assert "### User\n\n```text\nHello, Ada\n```\n\n" in rendered
    assert "# Hello\\, Ada\n" in rendered
    assert "### Decisions\n\n- D1 (turn 1): Hello\\, Ada\n- D2 (turn 1): second\n\n" in rendered
