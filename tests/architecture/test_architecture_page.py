"""Checks that the page about the architecture names files that exist and covers the tree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = re.compile(r"`((?:\.ci|bench|docs|functions|infra_cdk|local|migrations|shared|tests)/[\w./-]*)`")


def named(page: str) -> list[str]:
    """The paths of the repository that a page names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [path for path in _PATH.findall(text) if "NAME" not in path]


@pytest.mark.parametrize("page", ["architecture.md", "transactions.md", "reliability.md", "performance.md"])
def test_paths_of_the_page_exist(page: str) -> None:
    paths = named(page)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_tree_of_the_page_has_every_package() -> None:
    packages = {
        f"{package.parent.relative_to(ROOT)}/"
        for folder in ("functions", "shared")
        for package in (ROOT / folder).glob("*/__init__.py")
    }
    assert packages <= set(named("architecture.md"))


def test_page_says_where_to_change_twelve_things() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where do I change X\n")[2].partition("\n#")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 12
