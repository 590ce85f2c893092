"""Which tests reach what: the places of the core that they run through, and the statements that they send.

Statements are built at import, in functions of their own, where no test is at work. A mutant there is reached by the
tests that send a statement which it changes.
"""

import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from shared.db.statement import Params, Sent, Statement
from tests.mutation import graft
from tests.mutation.mutants import CORE, ROOT, Mutant, places

_IMPORT = "import"


@dataclass(frozen=True)
class Reached:
    """By one test, in so many seconds of this process; `digest` is that of its file and of the core."""

    digest: str
    seconds: float
    failed: bool
    places: frozenset[str]
    statements: frozenset[str]


@dataclass
class Reach:
    """What was recorded, by test. A test that fails without a mutant says nothing about one."""

    tests: dict[str, Reached] = field(default_factory=dict)
    at_import: frozenset[str] = frozenset()
    _by_place: dict[str, set[str]] = field(default_factory=dict)

    def add(self, at_import: frozenset[str], recorded: dict[str, Reached]) -> None:
        self.at_import = at_import
        self.tests |= recorded
        self._by_place = {}
        for test, reached in self.tests.items():
            if not reached.failed:
                for place in (*reached.places, *reached.statements):
                    self._by_place.setdefault(place, set()).add(test)

    def of(self, mutant: Mutant, changed: Collection[str]) -> set[str] | None:
        """The tests that may notice a mutant, which has changed these statements. None where there is nothing to be
        noticed: what it changes runs at import only, and the statements are the same."""
        tests = {test for place in (*changed, *mutant.places) for test in self._by_place.get(place, ())}
        if mutant.in_function:
            scope = f"{mutant.file} {mutant.scope}: "
            through = {
                test for place, reaching in self._by_place.items() if place.startswith(scope) for test in reaching
            }
            if not through and not tests and not changed and self.at_import.intersection(mutant.places):
                return None
            # A default, which is made at import, or a line that has changed since: who runs through its function.
            return tests or through
        # A constant or a class: who runs through a line that names it; else whoever reaches anything.
        named = re.compile(rf"\b{re.escape(mutant.scope.partition('.')[0])}\b")
        tests |= {test for place, reaching in self._by_place.items() if named.search(place) for test in reaching}
        return tests or {test for test, reached in self.tests.items() if reached.places and not reached.failed}


class Recorder:
    """Records in this process, from now on. The core is grafted on itself first: what fails then, fails of that."""

    def __init__(self) -> None:
        import coverage

        self._coverage = coverage.Coverage(data_file=None, include=[str(ROOT / file) for file in CORE])
        self._coverage.set_option("run:core", "ctrace")
        self._sent: set[Statement] = set()
        self._names = {statement: name for name, statement in graft.statements().items()}
        self._statements: dict[str, frozenset[str]] = {}
        self._seconds: dict[str, float] = {}
        sent = Statement.sent

        def sent_(statement: Statement, params: Params) -> list[Sent]:
            self._sent.add(statement)
            return sent(statement, params)

        Statement.sent = sent_  # type: ignore[method-assign, assignment]
        self._coverage.start()
        self._coverage.switch_context(_IMPORT)
        for file in CORE:
            graft.apply(file.removesuffix(".py").replace("/", "."), (ROOT / file).read_bytes())

    def begin(self, test: str) -> None:
        self._sent.clear()
        self._coverage.switch_context(test)
        self._seconds[test] = -time.process_time()

    def end(self, test: str) -> None:
        self._seconds[test] += time.process_time()
        self._statements[test] = frozenset(self._names[sent] for sent in self._sent & self._names.keys())

    def result(self, digests: dict[str, str], failed: Iterable[str]) -> tuple[frozenset[str], dict[str, Reached]]:
        """What runs when the core is imported, and what the tests have reached."""
        self._coverage.stop()
        found, failed = self._places(), set(failed)
        tests = {
            test: Reached(digests[test], seconds, test in failed, found.get(test, frozenset()), self._statements[test])
            for test, seconds in self._seconds.items()
        }
        return found.get(_IMPORT, frozenset()), tests

    def _places(self) -> dict[str, frozenset[str]]:
        data, found = self._coverage.get_data(), dict[str, set[str]]()
        for file in CORE:
            named = places(file, (ROOT / file).read_text())
            for line, contexts in data.contexts_by_lineno(str(ROOT / file)).items():
                for context in contexts:
                    found.setdefault(context, set()).add(named[line])
        return {context: frozenset(lines) for context, lines in found.items()}
