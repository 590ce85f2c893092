"""Trying mutants: pytest collects once, and every mutant is grafted into a fork of that process, which runs the tests
that reach it, those first that have killed most, until one fails."""

import gc
import hashlib
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from local import database, postgres
from migrations.roles import reset_settings
from tests.mutation import graft
from tests.mutation.forks import in_fork
from tests.mutation.mutants import CORE, ROOT, Mutant
from tests.mutation.reach import Reach, Reached, Recorder
from tests.mutation.results import Verdict
from tests.support import council_room, other_process

LIMIT_S = 3600
# How long a test waits for what a mutant keeps from happening.
PATIENCE_S = 10.0
# What a test may take with a mutant, of a processor and of a clock: more is a loop, or waits for ever.
CPU_S, WAIT_S = 5, 60
# How long a test that was green without a mutant is believed to be.
GREEN_FOR_S = 300.0

Tests = Callable[[Mutant, Collection[str]], Sequence[str] | None]


@dataclass(eq=False)
class Trials:
    """A plugin of pytest that runs no test itself; `work` is called when everything is collected."""

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
        """One server and one migrated database for all."""
        if fixturedef.argname not in ("postgres_server", "migrated_database"):
            return None
        ours = self.server if fixturedef.argname == "postgres_server" else council_room.DatabaseUrls(self.database_url)
        fixturedef.cached_result = (ours, fixturedef.cache_key(request), None)
        return ours

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        session.config.pluginmanager.unregister(name="terminalreporter")
        graft.read_sources()
        # So that no fork copies what it only looks at.
        gc.collect()
        gc.freeze()
        in_fork(self._migrate, LIMIT_S)
        self._copy_database()
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def record(self, reach: Reach, *, as_before: bool) -> None:
        """Run every test once without a mutant, unless it and the core are as they were when that was done; with
        `as_before`, unless that was ever done."""
        for gone in reach.tests.keys() - self.items.keys():
            del reach.tests[gone]
        core = b"".join((ROOT / file).read_bytes() for file in CORE)
        digests = {name: hashlib.sha256(core + item.path.read_bytes()).hexdigest() for name, item in self.items.items()}
        known = {
            name
            for name, reached in reach.tests.items()
            if (as_before or digests.get(name) == reached.digest) and not reached.failed
        }
        if left := [name for name in digests if name not in known]:
            recorded = in_fork(lambda: self._record(left, digests), LIMIT_S)
            assert recorded is not None, "the tests did not come to their end"
            reach.add(*recorded)
            self._copy_database()
        else:
            reach.add(reach.at_import, {})

    def judge(self, mutant: Mutant, tests: Tests) -> Verdict:
        """Try a mutant with the tests that are told when it is known which statements it changes."""
        began = time.monotonic()
        verdict = self._reliably(mutant, tests)
        if verdict.status == "timeout":
            self._copy_database()
        return replace(verdict, seconds=round(time.monotonic() - began, 2))

    def _reliably(self, mutant: Mutant, tests: Tests) -> Verdict:
        """A test that is red just then without the mutant, too, has killed nothing: the others go on without it, on a
        database anew."""
        unreliable = set[str]()
        while True:
            verdict = in_fork(lambda: self._try(mutant, tests, unreliable), LIMIT_S) or Verdict("timeout")
            if verdict.by not in self.items or self._is_green(verdict.by):
                return verdict
            unreliable.add(verdict.by)
            self._copy_database()

    def _migrate(self) -> bool:
        with psycopg.connect(self.server.url, autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE migrated")
        database.prepare(self.database_url.replace("mutants", "migrated"))
        return True

    def _copy_database(self) -> None:
        """Anew, whoever still uses the one before."""
        with psycopg.connect(self.server.url, autocommit=True) as administrator:
            administrator.execute("DROP DATABASE IF EXISTS mutants WITH (FORCE)")
            administrator.execute("CREATE DATABASE mutants TEMPLATE migrated")
        # A copy of a database has none of its roles' settings.
        with psycopg.connect(self.database_url, autocommit=True) as copied:
            reset_settings(copied)

    def _record(self, tests: Sequence[str], digests: dict[str, str]) -> tuple[frozenset[str], dict[str, Reached]]:
        recorder = Recorder()
        for name, run in self._runs(tests):
            recorder.begin(name)
            run()
            recorder.end(name)
        return recorder.result(digests, self._failed)

    def _is_green(self, test: str) -> bool:
        """Without a mutant, now or a moment ago."""

        def run_it() -> bool:
            for _, run in self._runs([test]):
                run()
            return not self._failed

        if self._green.get(test, -GREEN_FOR_S) < time.monotonic() - GREEN_FOR_S:
            if not in_fork(run_it, WAIT_S):
                return False
            self._green[test] = time.monotonic()
        return True

    def _try(self, mutant: Mutant, tests: Tests, unreliable: Collection[str]) -> Verdict:
        for waiting in (council_room, other_process):
            vars(waiting)["DEADLINE_S"] = PATIENCE_S
        try:
            changed = graft.apply(mutant.module, mutant.source)
        except Exception as error:  # noqa: BLE001 - whatever importing it would raise
            return Verdict("killed", type(error).__name__)
        reaching = tests(mutant, changed)
        if reaching is None:
            return Verdict("same")
        chosen = [test for test in reaching if test not in unreliable]
        for number, (name, run) in enumerate(self._runs(chosen), start=1):
            # What never ends is ended by the system, however busy the machine is.
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + CPU_S, resource.RLIM_INFINITY))
            signal.alarm(WAIT_S)
            run()
            if self._failed:
                return Verdict("killed", name, number)
        return Verdict("survived", tests=len(chosen))

    def _runs(self, names: Sequence[str]) -> Iterator[tuple[str, Callable[[], object]]]:
        items = [self.items[name] for name in names]
        for item, following in zip(items, [*items[1:], None], strict=False):
            run = item.config.hook.pytest_runtest_protocol
            yield item.nodeid, lambda item=item, run=run, following=following: run(item=item, nextitem=following)  # type: ignore[misc]
