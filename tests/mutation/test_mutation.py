"""Each guard of the protocol has a test that fails without it."""

import subprocess
import sys

from tests.mutation.edits import ROOT
from tests.mutation.guards import guards
from tests.mutation.sql import SQL, changed_by, explained, mutants_of


def test_every_guard_that_is_removed_fails_its_test() -> None:
    # Another process, because an edit must not stay in this one.
    command = [sys.executable, "-m", "tests.mutation", "--guards"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert run.stdout.count("noticed: ") == len(guards())


def test_every_mutant_of_the_sql_changes_a_statement_under_a_name_of_its_own() -> None:
    mutants = [mutant for file in SQL for mutant in mutants_of(file)]
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 100
    assert [mutant.name for mutant in mutants if not changed_by(mutant)] == []
    assert explained().keys() <= {mutant.name for mutant in mutants}
