"""A pytest plugin: print how long each suite took, and its budget.

A budget is a figure of a quiet machine with two cores, in seconds of test time. A suite over its budget is marked, and
does not fail: a busy machine is slow.
"""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Final

import pytest

BUDGETS_S: Final = {
    "architecture": 30,
    "drill": 30,
    "e2e": 540,
    "e2e/console": 180,
    "faults": 120,
    "fuzz": 30,
    "infra": 200,
    "integration": 480,
    "mutation": 60,
    "prose": 30,
    "soak": 100,
    "unit": 90,
}


def suite_of(node_id: str) -> str:
    """Return the suite of a test: the innermost folder below tests that has a budget."""
    folder = PurePosixPath(node_id.partition("::")[0]).parent.relative_to("tests")
    return next((name for name in map(str, (folder, *folder.parents)) if name in BUDGETS_S), folder.parts[0])


class Suites:
    """The test time of each suite, in seconds: set-up, call and tear-down."""

    def __init__(self) -> None:
        self.took_s: dict[str, float] = defaultdict(float)
        self.tests: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = suite_of(report.nodeid)
        self.took_s[suite] += report.duration
        self.tests[suite] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("test time by suite, and its budget")
        for suite, took_s in sorted(self.took_s.items()):
            budget_s = BUDGETS_S.get(suite, 0)
            mark = "  over its budget" if took_s > budget_s else ""
            terminalreporter.line(f"{suite:14}{self.tests[suite]:7} tests{took_s:7.0f} s of {budget_s:4}{mark}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist reports to its parent, which prints
        config.pluginmanager.register(Suites(), "suites")
