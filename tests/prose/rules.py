"""Applies the rules of rules.toml and the checks of proselint to passages."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from proselint.checks import __register__ as published
from proselint.tools import LintFile

from tests.prose.passage import CODE, Kind, Passage

_FILE = Path(__file__).with_name("rules.toml")
# No check reads across it.
_BETWEEN = "\n\n¶\n\n"


@dataclass(frozen=True)
class Turn:
    """A turn of phrase that is forbidden; `before` has it and `after` does without."""

    name: str
    pattern: re.Pattern[str]
    why: str
    instead: str
    before: str
    after: str


@dataclass(frozen=True)
class Rules:
    """The longest sentence by kind, the forbidden turns, and the checks of proselint that count."""

    longest: dict[Kind, int]
    turns: tuple[Turn, ...]
    checks: tuple[Any, ...]


@dataclass(frozen=True, order=True)
class Finding:
    """A line that breaks a rule."""

    line: int
    rule: str
    text: str


@cache
def load() -> Rules:
    """Read rules.toml and choose the checks of proselint."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    without = tuple(content["proselint"]["without"])
    return Rules(
        longest={Kind(kind): words for kind, words in content["longest"].items()},
        turns=tuple(
            Turn(**{**turn, "pattern": re.compile(turn["pattern"], re.IGNORECASE)}) for turn in content["turn"]
        ),
        checks=tuple(check for check in published if not check.path.startswith(without)),
    )


def findings(passages: Iterable[Passage]) -> list[Finding]:
    """Return each finding once, in the order of lines."""
    passages = list(passages)
    return sorted({*_own(passages), *_published(passages)})


def _own(passages: list[Passage]) -> Iterator[Finding]:
    rules = load()
    for passage in passages:
        longest = rules.longest[passage.kind]
        for sentence in passage.sentences():
            if sentence.words > longest:
                yield Finding(sentence.line, "long", f"{sentence.words} words, at most {longest}: {sentence.text}")
            for turn in rules.turns:
                # A heading names a topic and has no verb.
                if turn.pattern.search(sentence.text) and not (passage.heading and turn.name == "subject"):
                    yield Finding(sentence.line, turn.name, f"{turn.why}; {turn.instead}: {sentence.text}")


def _published(passages: list[Passage]) -> Iterator[Finding]:
    """Run proselint over all passages at once, because each run of a check has a fixed cost."""
    if not passages:
        return
    starts = list(accumulate((len(passage.text) + len(_BETWEEN) for passage in passages[:-1]), initial=0))
    page = LintFile("prose", _BETWEEN.join(passage.text for passage in passages))
    for check in load().checks:
        for result in check.check_with_flags(page.content):
            begins, ends = result.span
            quoted = page.is_quoted_pos(begins) and not check.flags.allow_quotes
            if quoted or not _in_words(page.content, begins, ends):
                continue
            # proselint puts a line break before the text.
            number = bisect_right(starts, begins - 1) - 1
            line = passages[number].line + page.content.count("\n", starts[number] + 1, begins)
            yield Finding(line, f"proselint.{check.path}", result.message)


def _in_words(content: str, begins: int, ends: int) -> bool:
    """Return whether the span has whole words: proselint also finds parts of words, and repeated code."""
    cut = any(
        0 < edge < len(content) and content[edge - 1].isalnum() and content[edge].isalnum() for edge in (begins, ends)
    )
    return not cut and CODE not in content[begins:ends].split()
