"""Chooses the files of the tree that hold prose, and reads each by its kind."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.prose import contract, markdown, source
from tests.prose.passage import Passage
from tests.prose.rules import Finding, findings

ROOT = Path(__file__).parents[2]
UNFINISHED = Path(__file__).with_name("unfinished.txt")

_Reader = Callable[[str], Iterable[Passage]]
_FOLDERS = (
    ".ci",
    ".githooks",
    ".github",
    "bench",
    "docs",
    "functions",
    "infra_cdk",
    "local",
    "migrations",
    "shared",
    "tests",
)
_FOREIGN = {"node_modules", "dist", "build", "__pycache__"}
_BY_NAME: dict[str, _Reader] = {
    "CHANGELOG.md": markdown.unreleased,
    "openapi.json": contract.read,
    "Makefile": source.hashed,
    "run": source.hashed,
    "commit-msg": source.hashed,
}
_BY_SUFFIX: dict[str, _Reader] = {
    ".md": markdown.read,
    ".py": source.python,
    ".sql": source.sql,
    ".toml": source.hashed,
    ".yml": source.hashed,
    ".yaml": source.hashed,
}


def tree() -> list[Path]:
    """Return the files with prose of the whole tree."""
    top = [path for path in sorted(ROOT.iterdir()) if path.is_file()]
    return list(files([*top, *(ROOT / folder for folder in _FOLDERS)]))


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files with prose among the paths and in their folders."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            foreign = _FOREIGN & set(file.relative_to(path).parts)
            if file.is_file() and not foreign and _reader(file):
                yield file


def check(file: Path) -> list[Finding]:
    """Return the findings of one file."""
    reader = _reader(file)
    return findings(reader(file.read_text(encoding="utf-8"))) if reader else []


def unfinished() -> list[str]:
    """Return the files and folders that may still break rules."""
    lines = UNFINISHED.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def finished() -> list[Path]:
    """Return the files of the tree without those that are unfinished."""
    waiting = {file for entry in unfinished() for file in files([ROOT / entry])}
    return [file for file in tree() if file not in waiting]


def _reader(file: Path) -> _Reader | None:
    return _BY_NAME.get(file.name) or _BY_SUFFIX.get(file.suffix)
