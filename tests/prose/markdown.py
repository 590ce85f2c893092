"""Reads the prose of a Markdown page: no code blocks, code spans, addresses or HTML."""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.prose.passage import CODE, Kind, Passage, without_code

_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
_UNRELEASED = re.compile(r"\bunreleased\b", re.IGNORECASE)


def read(text: str) -> Iterator[Passage]:
    """Yield each paragraph, heading, item and cell."""
    line, heading = 1, False
    for token in _PARSER.parse(text):
        if token.map:
            line = token.map[0] + 1
        if token.type in ("heading_open", "heading_close", "th_open", "th_close"):
            heading = token.type.endswith("_open")
        if token.type == "inline" and (prose := _prose(token)).strip():
            yield Passage(Kind.PAGE, line, prose, heading)


def unreleased(text: str) -> Iterator[Passage]:
    """Yield the passages of a changelog that belong to no release yet."""
    begins, ends = _unreleased_lines(text)
    yield from (passage for passage in read(text) if begins <= passage.line < ends)


def _unreleased_lines(text: str) -> tuple[int, int]:
    lines = text.splitlines()
    titles = [number for number, line in enumerate(lines, 1) if line.startswith("## ")]
    for title, following in zip(titles, [*titles[1:], len(lines) + 1], strict=True):
        if _UNRELEASED.search(lines[title - 1]):
            return title, following
    return 0, 0


def _prose(inline: Token) -> str:
    return without_code("".join(_words(token) for token in inline.children or ()))


def _words(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return CODE
        case "image":
            return "".join(_words(child) for child in token.children or ())
    return ""
