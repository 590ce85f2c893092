"""A passage of prose, and its sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

# A code span, an address or a figure counts as one word that no rule knows.
CODE = "_"

# A sentence begins with a capital letter, a figure, code or a path.
_END = re.compile(r"[.!?][)\"'*_]*(?=\s+[\"'(]*(?:[A-Z0-9_`]|[\w-]+/))|[.!?][)\"'*_]*\s*\Z")
_ADDRESS = re.compile(r"\b[a-z]+://[^\s)>\]]+")
_SPAN = re.compile(r"(`+)(?:(?!\1).)+\1", re.DOTALL)
_WORD = re.compile(r"[\w][\w'’.,:/-]*")
_LIST = re.compile(r"\s*(?:[-*]|\d+\.)\s+")


class Kind(StrEnum):
    """Where the text stands: each kind has its own longest sentence."""

    PAGE = "page"
    DOCSTRING = "docstring"
    COMMENT = "comment"
    CONTRACT = "contract"


@dataclass(frozen=True)
class Passage:
    """Text that is read in one go; `line` is its first line in the file."""

    kind: Kind
    line: int
    text: str
    heading: bool = False

    def sentences(self) -> Iterator["Sentence"]:
        start = 0
        for end in [match.end() for match in _END.finditer(self.text)] + [len(self.text)]:
            text = self.text[start:end]
            if text.strip():
                before = start + len(text) - len(text.lstrip())
                yield Sentence(self, self.line + self.text.count("\n", 0, before), " ".join(text.split()))
            start = end


@dataclass(frozen=True)
class Sentence:
    """One sentence on one line, and the line of the file on which it begins."""

    passage: Passage
    line: int
    text: str

    @property
    def words(self) -> int:
        return len(_WORD.findall(self.text))


def without_code(text: str) -> str:
    """Replace code spans and addresses; keep the line breaks."""
    text = _SPAN.sub(lambda match: CODE + "\n" * match[0].count("\n"), text)
    return _ADDRESS.sub(CODE, text)


def paragraphs(lines: list[str], first: int, kind: Kind) -> Iterator[Passage]:
    """Split lines at empty lines and before the items of a list."""
    block: list[str] = []
    start = first
    for number, line in enumerate([*lines, ""], first):
        if block and (not line.strip() or _LIST.match(line)):
            yield Passage(kind, start, without_code("\n".join(block)))
            block = []
        if line.strip():
            if not block:
                start = number
            block.append(_LIST.sub("", line, count=1) if not block else line)
