"""Try edits: pytest collects the tests once, and each edit is applied in a fork that runs tests until one fails."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from local import database, postgres
from migrations.roles import reset_settings
from shared.db.statement import Params, Sent, Statement
from tests.mutation.edits import Edit
from tests.mutation.forks import in_fork
from tests.support import council_room, other_process, sql_edits

_LIMIT_S = 3600.0
# How long a test waits for something that an edit prevents.
_PATIENCE_S = 5.0
# The longest that one test may take with an edit. A test that takes longer hangs.
_TEST_S = 60
# For so long, a test that has passed without an edit counts as one that passes.
_GREEN_FOR_S = 300.0


@dataclass(eq=False)
class Trials:
    """A plugin for pytest. `work` is called instead of the run of the tests."""

    server: postgres.Server
    work: Callable[["Trials"], None]
    items: dict[str, pytest.Item] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _green: dict[str, float] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        return self.server.url.removesuffix("postgres") + "mutants"

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> object:
        """Give all tests one server and one migrated database."""
        if fixturedef.argname not in ("postgres_server", "migrated_database"):
            return None
        ours = self.server if fixturedef.argname == "postgres_server" else council_room.DatabaseUrls(self.database_url)
        fixturedef.cached_result = (ours, fixturedef.cache_key(request), None)
        return ours

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        session.config.pluginmanager.unregister(name="terminalreporter")
        in_fork(self._migrate, _LIMIT_S)
        self._copy_database()
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def sent_by_test(self) -> dict[str, tuple[float, frozenset[str]]]:
        """Run every test once, and return its seconds and the `.sql` files that it sends. Leave out those that fail."""
        recorded = in_fork(self._record, _LIMIT_S)
        assert recorded is not None, "the tests did not end"
        self._copy_database()
        return recorded

    def notice(self, edit: Edit, tests: Sequence[str]) -> str | None:
        """Return the first test that fails with the edit and passes without it; an empty text if the edit never ends;
        None if all tests pass."""
        left = list(tests)
        while True:
            failed = in_fork(lambda: (self._first_failure(edit, left),), _LIMIT_S)
            if failed is None:
                self._copy_database()
                return ""
            (test,) = failed
            if test is None or self._passes(test):
                return test
            left.remove(test)
            self._copy_database()

    def _migrate(self) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE migrated")
        database.prepare(self.database_url.replace("mutants", "migrated"))

    def _copy_database(self) -> None:
        """Make the tests' database again, because a test that was killed may have left rows and locks."""
        with psycopg.connect(self.server.url, autocommit=True) as administrator:
            administrator.execute("DROP DATABASE IF EXISTS mutants WITH (FORCE)")
            administrator.execute("CREATE DATABASE mutants TEMPLATE migrated")
        # A copy of a database has none of its roles' settings.
        with psycopg.connect(self.database_url, autocommit=True) as copied:
            reset_settings(copied)

    def _record(self) -> dict[str, tuple[float, frozenset[str]]]:
        files, sent = sql_edits.files(), set[Statement]()
        real = Statement.sent

        def noted(statement: Statement, params: Params) -> list[Sent]:
            sent.add(statement)
            return real(statement, params)

        Statement.sent = noted  # type: ignore[method-assign, assignment]
        found = {}
        for name in self.items:
            sent.clear()
            began = time.monotonic()
            self._run([name])
            found[name] = (time.monotonic() - began, frozenset(files[one] for one in sent & files.keys()))
        return {name: recorded for name, recorded in found.items() if name not in self._failed}

    def _passes(self, test: str) -> bool:
        """Whether the test passes without an edit, now or a moment ago."""
        if self._green.get(test, -_GREEN_FOR_S) < time.monotonic() - _GREEN_FOR_S:
            if in_fork(lambda: (self._run([test]),), _TEST_S) != (None,):
                return False
            self._green[test] = time.monotonic()
        return True

    def _first_failure(self, edit: Edit, tests: Sequence[str]) -> str | None:
        for waiting in (council_room, other_process):
            vars(waiting)["DEADLINE_S"] = _PATIENCE_S
        edit.apply()
        return self._run(tests)

    def _run(self, tests: Sequence[str]) -> str | None:
        """Run tests until one fails, and return that one."""
        items = [self.items[name] for name in tests]
        for item, following in zip(items, [*items[1:], None], strict=False):
            # The process dies when a test takes too long.
            signal.alarm(_TEST_S)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.nodeid in self._failed:
                return item.nodeid
        signal.alarm(0)
        return None


def in_order(tests: dict[str, float], kills: Counter[str]) -> list[str]:
    """The tests that have noticed most come first, and of these the quickest."""
    return sorted(tests, key=lambda name: (-kills[name], tests[name]))
