"""Split the thinking from a text in which a model wrote it between marks, such as `<think>...</think>Answer`.

A text without marks does not change, and a mark in code or in quotes is text. Otherwise:

- A block goes from its opening mark to the next closing mark.
- A block without an end goes to the end of the text, if a thought can begin at its mark.
- A closing mark alone ends thinking that the chat template began, or the outer one of nested blocks.

A mark within a sentence, with a space before it, begins no block without an end, and ends no block of a template.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

_TAG: Final = r"(?i:(?:[a-z]{1,16}:)?(?:think(?:ing)?|thought|reasoning|reflection))"
_OPEN: Final = rf"<{_TAG}(?:\s[^<>]{{0,200}})?>|\[THINK\]|◁think▷"
_CLOSE: Final = rf"</{_TAG}\s{{0,20}}>|\[/THINK\]|◁/think▷"
MARK: Final = re.compile(f"{_OPEN}|{_CLOSE}")
OPENING: Final = re.compile(_OPEN)
CLOSING: Final = re.compile(_CLOSE)
_TOKEN: Final = re.compile(f"(?P<code>`+|~{{3,}})|(?P<open>{_OPEN})|(?P<close>{_CLOSE})")
# Code within a line goes to the line's next backticks.
_INLINE_END: Final = re.compile(r"[^`\n]*+`++")
_FENCE_END: Final = re.compile(r"^[ \t>]*+(`{3,}+|~{3,}+)[ \t\r]*+$", re.MULTILINE)
_SHORTEST_FENCE: Final = 3
_QUOTES: Final = "\"'`“‘«„(["
_CLOSING_QUOTES: Final = "\"'`”’»“)]"
_SENTENCE_ENDS: Final = ".!?…。！？*)}]"
# Blank lines, or blanks, without the indentation of a line of code.
_BLANKS: Final = re.compile(r"(?:[^\S\n]*+\n)++|[^\S\n]++")
# Joining parts can expose a mark that was in code before. Only hostile texts need a second pass.
_MOST_PASSES: Final = 4


def split_thinking(text: str) -> tuple[str, str]:
    """Return `text` without its thinking, and the thinking without its outer marks, in time linear in its length."""
    if not MARK.search(text):
        return text, ""
    thinking: list[str] = []
    for _ in range(_MOST_PASSES):
        parts, thoughts = _parts(text)
        if not thoughts:
            break
        thinking += thoughts
        text = _joined(parts)
    return text, "\n\n".join(filter(None, map(str.strip, thinking)))


def may_be_quoted(text: str, match: re.Match[str]) -> bool:
    """Whether the mark is quoted, or may be, because the text after it is not known yet."""
    return text[max(0, match.start() - 1) : match.start()] in tuple(_QUOTES)


def without_first_blanks(text: str) -> str:
    """Return `text` without the blanks that separate it from the thinking before it."""
    blanks = _BLANKS.match(text)
    return text[blanks.end() :] if blanks else text


def _parts(text: str) -> tuple[list[str], list[str]]:
    """Return the parts of `text` around its thinking, and the thoughts between them."""
    opening, closing = (_Marks(text, mark) for mark in (OPENING, CLOSING))
    parts: list[str] = []
    thoughts: list[str] = []
    begin = position = nested = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        if match.lastgroup == "code":
            position = _end_of_code(text, match, begin)
            continue
        if _is_quoted(text, match):
            continue
        alone = _stands_alone(text, match.start(), begin)
        if match.lastgroup == "open":
            start, end = closing.first_behind(position) or ((len(text), len(text)) if alone else (0, 0))
            if end:
                nested = opening.count(position, end)
                parts.append(text[begin : match.start()])
                thoughts.append(text[position:start])
                begin = position = end
        elif nested or alone:
            nested = max(0, nested - 1)
            parts.append("")
            thoughts.append(text[begin : match.start()])
            begin = position
    return [*parts, text[begin:]], thoughts


class _Marks:
    """The marks of one kind in a text, also in code, because code in thinking may be unfinished."""

    def __init__(self, text: str, mark: re.Pattern[str]) -> None:
        self._spans = [match.span() for match in mark.finditer(text) if not _is_quoted(text, match)]

    def first_behind(self, position: int) -> tuple[int, int] | None:
        index = bisect_left(self._spans, (position, 0))
        return self._spans[index] if index < len(self._spans) else None

    def count(self, start: int, end: int) -> int:
        return bisect_left(self._spans, (end, 0)) - bisect_left(self._spans, (start, 0))


def _end_of_code(text: str, match: re.Match[str], begin: int) -> int:
    """Return the end of the code that a run of backticks or tildes begins, or the run's own end if it begins none."""
    run, inline = match[0], _INLINE_END.match(text, match.end())
    if inline and run[0] == "`":
        return inline.end()
    if len(run) < _SHORTEST_FENCE or not _begins_line(text, match.start(), begin):
        return match.end()
    for fence in _FENCE_END.finditer(text, match.end()):
        if fence[1].startswith(run):
            return fence.end()
    return len(text)


def _is_quoted(text: str, match: re.Match[str]) -> bool:
    before, behind = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return bool(before and behind) and before in _QUOTES and behind in _CLOSING_QUOTES


def _begins_line(text: str, start: int, begin: int) -> bool:
    """Whether only blanks and `>` are before `start` on its line, or since `begin`."""
    while start > begin and (text[start - 1] == ">" or _is_blank(text[start - 1])):
        start -= 1
    return start == begin or text[start - 1] == "\n"


def _stands_alone(text: str, start: int, begin: int) -> bool:
    """Whether a mark is outside of a sentence: it begins a line, follows a sentence, or has no space before it."""
    if _begins_line(text, start, begin):
        return True
    if not _is_blank(text[start - 1]):
        return text[start - 1] not in _QUOTES
    while _is_blank(text[start - 1]):
        start -= 1
    return text[start - 1] in _SENTENCE_ENDS


def _is_blank(character: str) -> bool:
    return character.isspace() and character != "\n"


def _joined(parts: Sequence[str]) -> str:
    """Join the parts without the blanks around the thinking. Words of two parts stay apart."""
    joined: list[str] = []
    for part in parts:
        rest = part
        if not joined or joined[-1][-1].isspace():
            rest = without_first_blanks(part)
        elif part and not part[0].isspace():
            joined.append(" ")
        if rest and (joined or rest.strip()):
            joined.append(rest)
    text = "".join(joined)
    return text if parts[-1].strip() else text.rstrip()
