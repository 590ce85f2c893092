"""Each fenced block of a page says how a test treats it. tests/support/page_commands.py explains the tags.

tests/e2e/test_page_commands.py runs the blocks with the tag `sh`. A page that is not in PAGES is not checked yet.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli import _parser
from tests.support.page_commands import PAGES, ROOT, Block, read_blocks

# Blocks that hold no command.
FILES = {"ini", "json", "mermaid", "python", "text", "toml"}
RUN = re.compile(r"sh( [1-5]\d\d)?")
READ = ("sh setup", "sh account")
MAKEFILE = (ROOT / "Makefile").read_text()


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command that is only read, without the variables before it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words:
            yield words


@pytest.mark.parametrize("page", PAGES)
def test_fenced_block_has_a_known_tag(page: str) -> None:
    tags = [block.tag for block in read_blocks(page)]
    assert [tag for tag in tags if not RUN.fullmatch(tag) and tag not in FILES and tag not in READ] == []


@pytest.mark.parametrize("page", PAGES)
def test_command_outside_a_fence_is_not_indented_code(page: str) -> None:
    """Markdown takes four spaces for code, and the runner reads fences only."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\n\n {4}\S.*", text) == []


@pytest.mark.parametrize("page", PAGES)
def test_command_that_is_only_read_exists(page: str) -> None:
    for block in read_blocks(page):
        if block.tag not in READ:
            continue
        for program, *arguments in commands(block):
            match Path(program).name:
                case "make":
                    targets = [word for word in arguments if "=" not in word]
                    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets), arguments
                case "pantheon":
                    _parser().parse_args(arguments)
                case name:
                    assert name in {"git", "cd", "rm", "export", "pip"}, f"{page}: {program} {arguments}"
