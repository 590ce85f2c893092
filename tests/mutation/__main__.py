"""`python -m tests.mutation`: break the protocol's core in every small way, and see whether a test notices.

What is killed stays in build/mutants/ and is not tried again until its function changes. It ends with an error where a
mutant survives that survivors.toml does not explain, or where that file explains what does not survive.
"""

import argparse
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from local import postgres
from tests.mutation import guards, report
from tests.mutation.choice import Choice
from tests.mutation.mutants import CORE, ROOT, Mutant
from tests.mutation.reach import Reach
from tests.mutation.results import Results, explained, findings
from tests.mutation.sql import SQL, every_mutant_of
from tests.mutation.trials import Trials

BUILD = ROOT / "build" / "mutants"
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
# Those that hold the core to its promises. Tests of providers, of the schema and of load tell no mutants apart.
_NAMES = (
    "accept allowances attempts budgets bystanders conversations cost_gauges counts deletion figures"
    " forgotten_conversations hand_over holds hostile_tenant idempotency interleaved_marks interleaved_reconciliation"
    " interleavings invariants leases lock_order lost_connections marks months parallel parallel_ends pinned_versions"
    " plain_calls platform_budget poison prices_on_rows publish publish_guards quotas reconciliation refused_chats"
    " release resume routing row_level_security same_request scrub_guards step_guards suspense_beyond_allowance"
    " sweeper take_turn tenant_bounds turn_limits waits zombies"
)
TESTS = (
    "tests/unit/test_acceptance.py",
    "tests/unit/test_call.py",
    "tests/unit/test_turn_caps.py",
    "tests/unit/test_limited.py",
    "tests/unit/test_turns_function.py",
    *(f"tests/integration/test_{name}.py" for name in _NAMES.split()),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="", metavar="PATTERN", help="mutants whose name it matches, such as a file")
    parser.add_argument("--at-most", type=int, metavar="TESTS", help="what one mutant is tried with, for a quick look")
    parser.add_argument(
        "--tests", default="", metavar="PATTERN", help="with tests whose name it matches, and no others"
    )
    parser.add_argument("--as-before", action="store_true", help="tests reach what they once did: do not look again")
    parser.add_argument("--share", default="1/1", metavar="K/N", help="begin there, as one of N processes")
    parser.add_argument("--fresh", action="store_true", help="try those again, too, that were killed before")
    parser.add_argument("--write", action="store_true", help="put what came of them into docs/reliability.md")
    parser.add_argument("--guards", action="store_true", help="those of guards.toml only, each with its test")
    options = parser.parse_args()
    if options.guards:
        return _try_guards()
    BUILD.mkdir(parents=True, exist_ok=True)
    every = [mutant for file in (*CORE, *SQL) for mutant in every_mutant_of(file)]
    mutants = [mutant for mutant in every if re.search(options.only, mutant.name)]
    results = Results(BUILD / "results.jsonl", mutants, fresh=options.fresh)
    if results.left(mutants):
        _collect(TESTS, lambda trials: _try_all(trials, results, mutants, options))
    if options.write:
        report.write(every, Results(BUILD / "results.jsonl", every, fresh=False).verdicts, explained())
    found = findings(results.verdicts, explained(), mutants)
    _say("\n".join([*found, str(dict(results.counts()))]))
    return 1 if found or len(results.verdicts) < len(mutants) else 0


def _collect(tests: Collection[str], work: Callable[[Trials], None]) -> None:
    with tempfile.TemporaryDirectory() as folder, postgres.start(Path(folder), settings=_SETTINGS) as server:
        # What is tried has imported anyio, whose plugin for pytest is not ours.
        options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        pytest.main([*options, *tests], plugins=[Trials(server, work)])


def _try_all(trials: Trials, results: Results, mutants: Sequence[Mutant], options: argparse.Namespace) -> None:
    reach = _reach(trials, as_before=options.as_before)
    choice, left = Choice(reach, options.tests, options.at_most), results.left(mutants)
    for mutant in mutants:
        if mutant.name in results.verdicts and results.verdicts[mutant.name].by in reach.tests:
            choice.killed(mutant, results.verdicts[mutant.name].by)
    _say(f"{len(reach.tests)} tests, {len(mutants)} mutants, {len(left)} to be tried")
    share, shares = map(int, options.share.split("/"))
    begin, before = (share - 1) * len(left) // shares, dict(results.verdicts)
    for number, mutant in enumerate([*left[begin:], *left[:begin]], start=1):
        results.read()
        if results.verdicts.get(mutant.name) is not before.get(mutant.name):
            continue
        verdict = trials.judge(mutant, choice.tests)
        results.add(mutant, verdict)
        if verdict.by in reach.tests:
            choice.killed(mutant, verdict.by)
        if verdict.status in ("survived", "timeout"):
            _say(f"{verdict.status}: {mutant.name}")
        if number % 20 == 0:
            _say(f"{number} of {len(left)}: {dict(results.counts())}")


def _try_guards() -> int:
    listed, mutants, missed = guards.guards(), guards.mutants(), list[str]()

    def work(trials: Trials) -> None:
        for mutant in mutants:
            verdict = trials.judge(mutant, lambda mutant, _: [listed[mutant.name]])
            _say(f"{verdict.status} in {verdict.seconds} s: {mutant.name}")
            if verdict.status != "killed":
                missed.append(mutant.name)

    _collect(sorted(set(listed.values())), work)
    return 1 if missed else 0


def _reach(trials: Trials, *, as_before: bool) -> Reach:
    path, reach = BUILD / "reach.pickle", Reach()
    if path.exists():
        reach.add(*pickle.loads(path.read_bytes()))
    trials.record(reach, as_before=as_before)
    # At once, for others who read it.
    written = path.with_suffix(f".{os.getpid()}")
    written.write_bytes(pickle.dumps((reach.at_import, reach.tests)))
    written.replace(path)
    failing = [name for name, test in reach.tests.items() if test.failed]
    if failing:
        _say(f"red without a mutant, and left out: {failing}")
    return reach


def _say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.exit(main())
