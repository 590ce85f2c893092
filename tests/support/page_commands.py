"""Run the shell commands of a page as they stand there.

The tag of a fenced block says how a test treats it:

    sh            a test runs it. All blocks of a page run in page order, in one shell. Each curl must answer 2xx.
    sh 409        the same, and the last curl of the block must answer 409.
    sh setup      downloads, starts, stops or deletes something. A test checks that its commands exist.
    sh account    needs an account at a cloud or at a model's provider. A test checks that its commands exist.
    json, text    below a block that runs: what it prints. An ellipsis stands for anything.

Other tags hold files, programs and drawings. A page that follows this convention is in PAGES.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from local import token_file
from local.stack import Stack

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ("README.md", "docs/quickstart.md", "docs/concepts.md", "docs/api.md", "docs/modes.md")
ADDRESS: Final = "http://127.0.0.1:8000"
ELLIPSIS: Final = "…"
TIMEOUT_S: Final = 120.0
_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MARK: Final = "--- the next block ---"
# A function, so that curl also reports its status within $( ) and pipes.
_CURL: Final = """curl() { command curl -w '%{stderr}\\nHTTP %{http_code}\\n' "$@"; }"""
_PANTHEON: Final = """#!/bin/sh
exec {python} -c 'import sys; from local.cli import main; sys.exit(main())' "$@"
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `tag` is the text after the fence, and `section` the heading above it."""

    section: str
    tag: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return re.fullmatch(r"sh( \d{3})?", self.tag) is not None

    @property
    def status(self) -> str:
        """The status that its last curl answers with: three digits, or 2 for any success."""
        return self.tag.removeprefix("sh").strip() or "2"


@dataclass(frozen=True, slots=True)
class Ran:
    """A block, its standard output, and the statuses of its requests."""

    block: Block
    printed: str
    statuses: Sequence[str]


def read_blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in order. `page` is a path below the root."""
    text = (ROOT / page).read_text("utf-8")
    fences = list(_FENCE.finditer(text))
    code = [range(*fence.span()) for fence in fences]
    headings = [found for found in _HEADING.finditer(text) if not any(found.start() in part for part in code)]
    return [
        Block(next((each[1] for each in reversed(headings) if each.start() < fence.start()), ""), fence[1], fence[2])
        for fence in fences
    ]


def run_page(page: str, stack: Stack, token: str, folder: Path) -> list[Ran]:
    """Run the page's blocks. `pantheon token --show` prints `token`. Commands may write to `folder`, their checkout."""
    return run_blocks([block for block in read_blocks(page) if block.runs], stack, token, folder)


def run_blocks(blocks: Sequence[Block], stack: Stack, token: str, folder: Path) -> list[Ran]:
    """Run blocks in one shell that stops at the first failure. Raises AssertionError with what it said."""
    token_file.write(stack.data_dir, token)
    lay_out(folder)
    parts = [f"{block.text.replace(ADDRESS, stack.url)}\necho '{_MARK}'; echo '{_MARK}' >&2" for block in blocks]
    ran = _in_bash("\n".join([_CURL, *parts]), shell_environment(stack), folder)
    printed, told = ran.stdout.split(f"{_MARK}\n"), ran.stderr.split(f"{_MARK}\n")
    if ran.returncode != 0:
        failed = blocks[min(len(told), len(blocks)) - 1]
        raise AssertionError(f"{failed.section}: {failed.text}\n{printed[-1]}\n{told[-1]}")
    statuses = [re.findall(r"^HTTP (\d{3})$", each, re.MULTILINE) for each in told]
    return [Ran(*each) for each in zip(blocks, printed, statuses, strict=False)]


def shown_below(page: str) -> Iterator[tuple[Block, Block]]:
    """Each block that runs with the block of tag `json` or `text` that follows it."""
    blocks = read_blocks(page)
    return ((one, two) for one, two in pairwise(blocks) if one.runs and two.tag in ("json", "text"))


def is_shown(shown: Block, printed: str) -> bool:
    """Whether a command printed what the page shows of it. JSON is compared with the last document."""
    if shown.tag == "json":
        return has_shape(json.loads(shown.text), documents(printed)[-1])
    pattern = ".+?".join(map(re.escape, shown.text.strip().split(ELLIPSIS)))
    return re.search(pattern, printed, re.DOTALL) is not None


def documents(printed: str) -> list[Any]:
    """The JSON documents of an output, one behind the other."""
    found, rest = [], printed.strip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def has_shape(shown: Any, real: Any) -> bool:
    """Whether a document has everything that the page shows of it. An ellipsis stands for anything."""
    match shown:
        case dict():
            return all(
                name == ELLIPSIS or (name in real and has_shape(value, real[name])) for name, value in shown.items()
            )
        case list():
            return len(shown) == len(real) and all(map(has_shape, shown, real))
        case str() if shown == ELLIPSIS:
            return True
        case str() if ELLIPSIS in shown:
            return re.fullmatch(".+".join(map(re.escape, shown.split(ELLIPSIS))), real, re.DOTALL) is not None
        case str() if re.fullmatch(r"0\.\d+", shown):
            return re.fullmatch(r"0\.\d+", real) is not None
    return bool(shown == real)


def lay_out(folder: Path) -> None:
    """Give an empty folder what a checkout has: the installed command and the pages."""
    command = folder / ".venv" / "bin" / "pantheon"
    if not command.exists():
        command.parent.mkdir(parents=True)
        command.write_text(_PANTHEON.format(python=shlex.quote(sys.executable)))
        command.chmod(0o755)
        (folder / "docs").symlink_to(ROOT / "docs")


def shell_environment(stack: Stack) -> dict[str, str]:
    """The variables of a shell beside `make run`, without those of the developer."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    port = stack.url.rpartition(":")[2]
    ours = {"PANTHEON_DATA_DIR": str(stack.data_dir), "PANTHEON_PORT": port, "PYTHONPATH": str(ROOT)}
    return inherited | ours


def _in_bash(script: str, environ: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
