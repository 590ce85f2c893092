"""How the runner of pages reads a block, and how it compares an output with what a page shows."""

from pathlib import Path

import pytest

from tests.support import page_commands
from tests.support.page_commands import Block, documents, is_shown, read_blocks, shown_below

PAGE = """# Page

```sh setup
make run
```

## Ask

```sh 409
# A comment is no heading.
curl $API
```

```json
{"code": "turn_conflict", "detail": "…", "…": "…"}
```

```toml
key = 1
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr(page_commands, "ROOT", tmp_path)
    return "page.md"


def test_block_has_its_heading_and_its_tag(page: str) -> None:
    assert [(block.section, block.tag, block.runs) for block in read_blocks(page)] == [
        ("Page", "sh setup", False),
        ("Ask", "sh 409", True),
        ("Ask", "json", False),
        ("Ask", "toml", False),
    ]


def test_output_is_shown_below_its_command(page: str) -> None:
    ((command, shown),) = shown_below(page)
    assert (command.status, shown.tag) == ("409", "json")
    assert is_shown(shown, '{"items": []}\n{"code": "turn_conflict", "detail": "Another turn.", "status": 409}')
    assert not is_shown(shown, '{"code": "turn_conflict", "detail": "Another turn."}\n{"items": []}')
    assert not is_shown(shown, '{"code": "turn_ended", "detail": "The turn has ended."}')


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("event: turn\n…\nevent: end\n", "event: turn\ndata: 1\n\nevent: end\n", True),
        ("event: turn\n…\nevent: end\n", "event: end\nevent: turn\n", False),
        ("data: (1)\n", "data: (1)\n", True),
    ],
)
def test_text_is_shown_if_the_output_has_its_parts_in_order(shown: str, printed: str, expected: bool) -> None:
    assert is_shown(Block("Ask", "text", shown), printed) is expected


def test_documents_are_read_one_behind_the_other() -> None:
    assert documents('{"a": 1}{"b": 2}\n[3]\n') == [{"a": 1}, {"b": 2}, [3]]
