"""`python -m tests.mutation`: break the protocol's SQL in every small way, and see whether a test notices.

It exits with 1 if a mutant survives that `survivors.toml` does not list, or if a test notices a mutant of that list.
`make mutants` also runs mutmut, which breaks the Python of the protocol.
"""

import argparse
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from local import postgres
from tests.mutation.edits import ROOT, Edit
from tests.mutation.guards import guards
from tests.mutation.sql import SQL, changed_by, explained, mutants_of
from tests.mutation.trials import Trials, in_order

_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="", metavar="PATTERN", help="mutants whose name matches, such as a file's")
    parser.add_argument("--guards", action="store_true", help="the guards of guards.toml only, each with its test")
    options = parser.parse_args()
    missed: list[str] = []
    if options.guards:
        listed = guards()
        _collect({test for _, test in listed}, lambda trials: _remove(trials, listed, missed))
    else:
        mutants = [mutant for file in SQL for mutant in mutants_of(file) if re.search(options.only, mutant.name)]
        _collect(_tests(), lambda trials: _try(trials, mutants, missed))
    _say("\n".join(missed))
    return 1 if missed else 0


def _tests() -> list[str]:
    """The tests of the protocol, which mutmut runs too."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    tests: list[str] = settings["pytest_add_cli_args_test_selection"]
    return tests


def _collect(tests: Collection[str], work: Callable[[Trials], None]) -> None:
    with tempfile.TemporaryDirectory() as folder, postgres.start(Path(folder), settings=_SETTINGS) as server:
        # The imports of this program include anyio, whose pytest plugin warns about that.
        options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        pytest.main([*options, *sorted(tests)], plugins=[Trials(server, work)])


def _remove(trials: Trials, listed: Sequence[tuple[Edit, str]], missed: list[str]) -> None:
    for guard, test in listed:
        noticed = trials.notice(guard, [test])
        _say(f"{'noticed' if noticed else 'missed'}: {guard.name}")
        if not noticed:
            missed.append(f"missed: {guard.name}")


def _try(trials: Trials, mutants: Sequence[Edit], missed: list[str]) -> None:
    recorded, reasons = trials.sent_by_test(), explained()
    kills, counts = dict[str, Counter[str]](), dict[str, Counter[str]]()
    for mutant in mutants:
        changed = changed_by(mutant)
        reaching = {name: seconds for name, (seconds, sent) in recorded.items() if sent & changed}
        killers = kills.setdefault(mutant.file, Counter())
        noticed = trials.notice(mutant, in_order(reaching, killers))
        if noticed:
            killers[noticed] += 1
        status = "killed" if noticed is not None else "explained" if mutant.name in reasons else "survived"
        counts.setdefault(mutant.file, Counter())[status] += 1
        if status == "survived" or (status == "killed" and mutant.name in reasons):
            missed.append(f"{status}: {mutant.name}")
            _say(missed[-1])
    for file, count in counts.items():
        _say(f"{file}: {dict(count)}")


def _say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.exit(main())
