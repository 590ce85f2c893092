"""Reads the questions with known answers, and checks an answer."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("council_questions.toml")
KINDS: Final = ("facts", "arithmetic", "reasoning", "refusals")
# The last line of an answer that has one.
_LINE: Final = re.compile(r"^\W*answer\W*:\W*?(-?[^\s*_].*)$", re.IGNORECASE | re.MULTILINE)
_NUMBER: Final = re.compile(r"(?<![\w.,])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|[.,]\d)")
_REFUSAL: Final = re.compile(
    r"\b(?:cannot|can ?not|can.t|could not|couldn.t|impossible to|no way to|unable to) "
    r"(?:\w+ )?(?:know|be known|tell|determine|be determined|say|be said|answer|be answered|predict|be predicted|see)\b"
    r"|\b(?:do not|don.t|does not|doesn.t) (?:know|say|have (?:\w+ )?(?:access|information|knowledge))\b"
    r"|\b(?:unknown|unknowable|undetermined|not enough|insufficient|indeterminate|unpredictable|n/a|no answer)\b"
    r"|\bnot (?:known|given|stated|specified|provided|knowable|determinable|possible to)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question of one of KINDS with one check.

    The answer must have the number, one of the words or the pattern. With `unknown` it must say that nobody can know.
    """

    kind: str
    text: str
    number: str | None = None
    words: Sequence[str] = ()
    pattern: str | None = None
    unknown: bool = False

    def is_right(self, answer: str) -> bool:
        """Whether the answer is right: its last line that begins with "Answer:", or all of it without one."""
        lines = _LINE.findall(answer)
        given = lines[-1] if lines else answer
        refuses = _REFUSAL.search(given) is not None
        if self.unknown or refuses:
            return self.unknown and refuses
        if self.number is not None:
            found = [Decimal(each.replace(",", "").replace("−", "-")) for each in _NUMBER.findall(given)]
            return found[-1:] == [Decimal(self.number)]
        patterns = [self.pattern] if self.pattern else [re.escape(word) for word in self.words]
        return any(re.search(rf"\b(?:{pattern})(?!\w)", given, re.IGNORECASE) for pattern in patterns)


def questions() -> list[Question]:
    """All of the file."""
    return [Question(**each) for each in tomllib.loads(_FILE.read_text(encoding="utf-8"))["questions"]]
