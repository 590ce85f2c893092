"""Tell from a streamed text, piece by piece, what of it is the reply: without its thinking and its writer's own name.

`spoken` decides what the reply is, once the text is whole. Until then, a piece is held back that may be none of it. A
text that surprises all the same is told anew, so the pieces always make up the reply.
"""

import re
import threading
from functools import cache
from typing import Final

from shared.domain.agent import Agent
from shared.llm.port import MAX_TEXT_BYTES, size_of
from shared.llm.thinking import CLOSING, MARK, OPENING, may_be_quoted, without_first_blanks
from shared.orchestration.reply_text import MAX_HEADER, own_name_end

# The end of a text that may become a mark of thinking.
_TAG: Final = r"(?:[a-z]{1,16}:)?(?:think(?:ing)?|thought|reasoning|reflection)"
_HALF_MARK: Final = re.compile(
    rf"<(?:/?(?:[a-z]{{1,16}}:)?[a-z]{{0,16}}|{_TAG}\s[^<>]{{0,200}}|/{_TAG}\s{{0,20}})\Z"
    r"|\[/?[THINK]{0,5}\Z|◁/?[think]{0,5}\Z",
    re.IGNORECASE,
)
_MOST_HABITS: Final = 10_000
# No half of a mark is longer.
_LONGEST_HALF: Final = 250
# A text that begins with more characters of which none is certain is told once it is whole. Each piece reads them anew.
_LONGEST_BEGINNING: Final = 4 * MAX_HEADER


class Habits:
    """Which aliases write their thinking where no mark begins it. They are kept by tenant, because a tenant can make a
    model do so. Safe to use from any number of threads."""

    def __init__(self) -> None:
        self._surprising: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def is_surprising(self, tenant_id: str, alias: str) -> bool:
        return (tenant_id, alias) in self._surprising

    def learn(self, tenant_id: str, alias: str) -> None:
        with self._lock:
            if len(self._surprising) >= _MOST_HABITS:
                self._surprising.clear()
            self._surprising.add((tenant_id, alias))


@cache
def habits() -> Habits:
    """Those of this process."""
    return Habits()


class ReplyStream:
    """The reply of one attempt, as far as it has come."""

    def __init__(self, agent: Agent, *, held: bool = False) -> None:
        """With `held`, nothing is told before the text is whole."""
        self._agent = agent
        self._is_held = held
        self._is_thinking = False
        self._is_nested = False
        # Whether a thought came before, so that the blanks behind it are none of the reply.
        self._has_thought = False
        # What came and is not told yet.
        self._waiting = ""
        self._told: list[str] = []
        self._room = MAX_TEXT_BYTES

    @property
    def has_told(self) -> bool:
        return bool(self._told)

    def hear(self, piece: str) -> str:
        """Return what is certain of the reply with this piece of the text, and was not returned before."""
        if self._is_held:
            return ""
        self._waiting += piece
        if self._is_thinking:
            self._think()
        else:
            self._look_for_marks()
        return self._tell()

    def rest(self, text: str) -> str | None:
        """Return what of the whole reply was not told. None: what was told is no beginning of it."""
        told = "".join(self._told)
        return text[len(told) :] if text.startswith(told) else None

    def _look_for_marks(self) -> None:
        mark = MARK.search(self._waiting)
        if mark is None:
            return
        begins = not self._told and not self._has_thought and not self._waiting[: mark.start()].strip()
        if begins and OPENING.match(mark[0]):
            self._waiting = self._waiting[mark.end() :]
            self._is_thinking = self._has_thought = True
            self._think()
        else:
            # Only the whole text says what this mark means.
            self._is_held = True

    def _think(self) -> None:
        """Drop the thought as far as it has come."""
        mark = CLOSING.search(self._waiting)
        self._is_nested = self._is_nested or bool(OPENING.search(self._waiting))
        if mark is None:
            self._waiting = self._waiting[-_LONGEST_HALF:]
            return
        # A quoted mark is a word of the thought. Only the whole text says what is quoted.
        self._is_held = self._is_held or self._is_nested or may_be_quoted(self._waiting, mark)
        self._waiting = self._waiting[mark.end() :]
        self._is_thinking = False
        self._look_for_marks()

    def _tell(self) -> str:
        if self._is_held or self._is_thinking:
            return ""
        half = _HALF_MARK.search(self._waiting, max(0, len(self._waiting) - _LONGEST_HALF))
        end = half.start() if half else len(self._waiting)
        ready = self._waiting[:end]
        if not self._told:
            ready = self._beginning(ready)
            if not ready:
                self._is_held = len(self._waiting) > _LONGEST_BEGINNING
                return ""
        self._waiting = self._waiting[end:]
        self._room -= size_of(ready)
        if self._room < 0:
            self._is_held = True
            return ""
        if ready:
            self._told.append(ready)
        return ready

    def _beginning(self, ready: str) -> str:
        """What of `ready` begins the reply: without the blanks behind a thought, and without the own name."""
        if not ready.strip():
            return ""
        whole = without_first_blanks(self._waiting) if self._has_thought else self._waiting
        start = own_name_end(whole, self._agent)
        return "" if start is None else ready[len(self._waiting) - len(whole) + start :]
