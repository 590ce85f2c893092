"""Which tests a mutant is tried with, and in which order: most mutants die of the first or second."""

import re
from collections import Counter
from collections.abc import Collection

from tests.mutation.mutants import Mutant
from tests.mutation.reach import Reach


class Choice:
    """Learns from each kill. Tests are those whose name matches `pattern`, and `at_most` so many of those with
    statements for one mutant, None for all."""

    def __init__(self, reach: Reach, pattern: str, at_most: int | None) -> None:
        self._reach = reach
        self._matching = {test for test in reach.tests if re.search(pattern, test)}
        self._at_most = at_most
        self._kills = Counter[tuple[str, ...]]()

    def tests(self, mutant: Mutant, changed: Collection[str]) -> list[str] | None:
        """Those first that send no statement, which take no time; then those that have killed such mutants in
        little time; one of each file before a second, since those of one file notice the same. None where there is
        nothing to be noticed."""
        reached = self._reach.of(mutant, changed)
        if reached is None:
            return None
        taken, before = Counter[str](), dict[str, int]()
        best = sorted(reached & self._matching, key=lambda test: self._worth(mutant, test), reverse=True)
        for test in best:
            file = test.partition("::")[0]
            before[test] = taken[file]
            taken[file] += 1
        quick = [test for test in best if not self._reach.tests[test].statements]
        others = sorted((test for test in best if test not in quick), key=before.__getitem__)
        return [*quick, *others[: self._at_most]]

    def killed(self, mutant: Mutant, test: str) -> None:
        self._kills.update([(test,), (test, mutant.file), (test, mutant.file, mutant.scope)])

    def _worth(self, mutant: Mutant, test: str) -> float:
        kills = (
            self._kills[test,] + 3 * self._kills[test, mutant.file] + 9 * self._kills[test, mutant.file, mutant.scope]
        )
        recorded = self._reach.tests[test]
        return (kills + 20 / (1 + len(recorded.places))) / (0.05 + recorded.seconds)
