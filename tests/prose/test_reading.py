"""Tests which text of a file is read as prose."""

import json

from tests.prose import contract, markdown, source
from tests.prose.passage import Passage

PAGE = """\
# A title

A paragraph with `code nor code` and
[a link](docs/nor.md), see https://example.com/nor.

```python
print("nor")
```

    indented nor

- one item
- another

| column | nor |
| --- | --- |
| cell with `a ``nor` | plain |
"""

MODULE = '''\
"""Run a turn. It locks
the row.

    python -m local.run nor

python -m tests.prose   nor in columns

Args:
    seconds: How long to wait.

- one item
"""

# A comment of
# two lines.
#
# Another one.
x = 1  # at the end  # noqa: E501


def run() -> str:
    """Return `a nor b`."""
    return "# no comment, nor a docstring"
'''


def lines(passages: list[Passage]) -> list[tuple[int, str]]:
    return [(passage.line, passage.text) for passage in passages]


def test_a_page_is_read_without_code_and_addresses() -> None:
    assert lines(list(markdown.read(PAGE))) == [
        (1, "A title"),
        (3, "A paragraph with _ and\na link, see _"),
        (12, "one item"),
        (13, "another"),
        (15, "column"),
        (15, "nor"),
        (17, "cell with _"),
        (17, "plain"),
    ]


def test_titles_and_heads_of_columns_are_headings() -> None:
    assert [passage.text for passage in markdown.read(PAGE) if passage.heading] == ["A title", "column", "nor"]


def test_a_changelog_is_read_up_to_its_first_release() -> None:
    text = "# Changes\n\nAbout.\n\n## 0.2.0 - unreleased\n\n- New.\n\n## 0.1.0 - 2026-01-01\n\n- Old.\n"
    assert lines(list(markdown.unreleased(text))) == [(5, "0.2.0 - unreleased"), (7, "New.")]
    assert list(markdown.unreleased(text.replace("unreleased", "2026-02-01"))) == []


def test_a_module_is_read_by_its_docstrings_and_comments() -> None:
    assert lines(list(source.python(MODULE))) == [
        (1, "Run a turn. It locks\nthe row."),
        (9, "How long to wait."),
        (11, "one item"),
        (22, "Return _."),
        (14, "A comment of\ntwo lines."),
        (17, "Another one."),
        (18, "at the end"),
    ]


def test_a_statement_is_read_by_its_comments_without_the_names_of_parts() -> None:
    text = "-- Lock the row.\n-- part lock ? t_limit\n-- It is short.\nSELECT 1  -- One.\n"
    assert lines(list(source.sql(text))) == [(1, "Lock the row."), (3, "It is short."), (4, "One.")]


def test_a_makefile_is_read_by_its_comments_and_help() -> None:
    text = "#!/bin/sh\n# Builds `x`.\nrun: x ## Start it.\n\t@echo '# no comment'\n"
    assert lines(list(source.hashed(text))) == [(2, "Builds _."), (3, "Start it.")]


def test_a_contract_is_read_by_its_descriptions() -> None:
    document = {"description": "One `x`.\nTwo.", "type": "string", "example": "nor", "summary": "Read it"}
    text = json.dumps(document, indent=1)
    assert lines(list(contract.read(text))) == [(2, "One _. Two."), (5, "Read it")]
