"""Each suite has a budget of test time, which the run prints."""

from pathlib import Path

import pytest

from tests.support.budgets import BUDGETS_S, suite_of

ROOT = Path(__file__).parents[2]


def test_every_test_file_belongs_to_a_suite_with_a_budget() -> None:
    found = {suite_of(str(path.relative_to(ROOT))) for path in (ROOT / "tests").rglob("test_*.py")}
    assert found == BUDGETS_S.keys()


@pytest.mark.parametrize(
    ("node_id", "suite"),
    [
        ("tests/unit/test_call.py::test_one[x::y]", "unit"),
        ("tests/e2e/console/test_asking.py::test_one", "e2e/console"),
        ("tests/e2e/graphs/test_example_graphs.py::TestOne::test_two", "e2e"),
    ],
)
def test_a_test_belongs_to_the_innermost_suite(node_id: str, suite: str) -> None:
    assert suite_of(node_id) == suite
