"""Reads the docstrings and comments of Python, and the comments of SQL, TOML, YAML, shell and make."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from tests.prose.passage import Kind, Passage, paragraphs, without_code

_TOOL = re.compile(r"#\s*(?:!|noqa|type:|pragma|fmt:|mypy:|ruff:|nosec|checkov:)")
# Columns, a row of a table, or a command.
_LAYOUT = re.compile(r"\S {2,}\S|^\s*(?:\| |\$ |python3? -m |make [a-z]|pantheon [a-z]|curl )")
# Names a part of a SQL file.
_PART = re.compile(r"(?:part|include) \w")
_SECTION = re.compile(r"(?:Args|Returns|Raises|Yields|Attributes):\s*$")
_ARGUMENT = re.compile(r"^\s+[\w*`., ]+:\s")
_HELP = re.compile(r"^[a-z-]+:.*## (?P<text>.+)$")
_INDENT = 4


def python(text: str) -> Iterator[Passage]:
    """Yield the paragraphs of docstrings, then the comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if text_of := ast.get_docstring(node):
                yield from docstring(text_of, first.lineno)
    if "#" in text:
        yield from _blocks(_python_comments(text))


def docstring(text: str, first: int) -> Iterator[Passage]:
    """Yield the paragraphs of a docstring without examples, commands and columns."""
    lines: list[str] = []
    section = False
    for line in text.splitlines():
        indented = line.startswith(" " * _INDENT)
        if _SECTION.match(line):
            section = True
        elif line and not indented:
            section = False
        described = section and indented
        if _SECTION.match(line) or _LAYOUT.search(line) or (indented and not section):
            lines.append("")
        else:
            lines.append(_ARGUMENT.sub("- ", line) if described else line)
    yield from paragraphs(lines, first, Kind.DOCSTRING)


def sql(text: str) -> Iterator[Passage]:
    """Yield the comments of a SQL file without the lines that name its parts."""
    comments = _marked_comments(text, "--")
    yield from _blocks((line, alone, comment) for line, alone, comment in comments if not _PART.match(comment))


def hashed(text: str) -> Iterator[Passage]:
    """Yield the comments of a file that marks them with #, and the help texts of a makefile."""
    yield from _blocks(_marked_comments(text, "#"))
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HELP.match(line):
            yield Passage(Kind.COMMENT, number, without_code(match["text"]))


def _python_comments(text: str) -> Iterator[tuple[int, bool, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not _TOOL.match(token.string):
            alone = not token.line[: token.start[1]].strip()
            yield token.start[0], alone, _text(token.string)


def _text(comment: str) -> str:
    """Return the text of a comment without a note for a tool behind it."""
    text, *_ = _TOOL.split(comment, maxsplit=1)
    return text.lstrip("#").removeprefix(":").strip()


def _marked_comments(text: str, mark: str) -> Iterator[tuple[int, bool, str]]:
    """Yield the comments that have a line to themselves, and those after code and a space."""
    for number, line in enumerate(text.splitlines(), 1):
        code, found, comment = line.partition(mark)
        if not found or comment.startswith(("!", "#")):
            continue
        if not code.strip():
            yield number, True, comment.strip()
        elif code.endswith("  ") and comment.startswith(" ") and code.count('"') % 2 == code.count("'") % 2 == 0:
            yield number, False, comment.strip()


def _blocks(comments: Iterable[tuple[int, bool, str]]) -> Iterator[Passage]:
    """Join the comments of lines that follow each other."""
    block: list[str] = []
    start = previous = 0
    for number, alone, comment in comments:
        if block and (number != previous + 1 or not alone):
            yield from paragraphs(block, start, Kind.COMMENT)
            block = []
        if alone:
            start = start if block else number
            block.append("" if _LAYOUT.search(comment) else comment)
            previous = number
        else:
            yield from paragraphs([comment], number, Kind.COMMENT)
    yield from paragraphs(block, start, Kind.COMMENT)
