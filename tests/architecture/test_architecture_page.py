"""Checks that pages about the code are short, and name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = re.compile(r"`((?:\.ci|bench|docs|functions|infra_cdk|local|migrations|shared|tests)/[\w./-]*)`")


PAGES = [
    "architecture.md",
    "models.md",
    "performance.md",
    "performance/comparisons.md",
    "reliability.md",
    "reliability/faults.md",
    "reliability/soak.md",
    "transactions.md",
]
MOST_WORDS = 1_500


def named(page: str) -> list[str]:
    """The paths of the repository that a page names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [path for path in _PATH.findall(text) if "NAME" not in path]


@pytest.mark.parametrize("page", PAGES)
def test_paths_of_the_page_exist(page: str) -> None:
    paths = named(page)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_is_short(page: str) -> None:
    # The bars of a table are no words.
    words = [word for word in (ROOT / "docs" / page).read_text(encoding="utf-8").split() if re.search(r"\w", word)]
    assert len(words) <= MOST_WORDS


def test_statements_of_the_page_about_transactions_exist() -> None:
    page = (ROOT / "docs" / "transactions.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(\w+\.sql)`", page)) - {"x.sql"}
    assert names
    assert names <= {path.name for path in (ROOT / "shared" / "db" / "sql").iterdir()}


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
