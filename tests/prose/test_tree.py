"""Tests which files are checked, and that the list of unfinished files is true."""

from pathlib import Path

import pytest

from tests.prose import tree
from tests.prose.__main__ import main


def test_every_unfinished_entry_still_breaks_a_rule() -> None:
    """Take an entry out of unfinished.txt once its last finding is gone."""
    entries = {entry: tree.files([tree.ROOT / entry]) for entry in tree.unfinished()}
    assert [entry for entry, files in entries.items() if not any(tree.check(file) for file in files)] == []


@pytest.mark.parametrize(
    "name",
    ["README.md", "Makefile", "docs/adr/README.md", "shared/db/sql/publish.sql", "tests/prose/rules.toml", ".ci/run"],
)
def test_the_tree_has_every_kind_of_file(name: str) -> None:
    assert tree.ROOT / name in tree.tree()


def test_the_tree_has_no_installed_file() -> None:
    assert not [file for file in tree.tree() if "node_modules" in file.parts]


def test_the_command_prints_the_line_and_the_rule_of_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nIt waits, nor locks.\n")
    monkeypatch.setattr("sys.argv", ["prose", str(tmp_path)])
    assert main() == 1
    assert capsys.readouterr().out.startswith(f"{page}:3: nor: ")
    page.write_text("# Title\n\nIt waits and locks nothing.\n")
    assert main() == 0
