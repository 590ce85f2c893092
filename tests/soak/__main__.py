"""Run the rows, or some of them. Ends with 1 after a finding."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.forked import fork
from tests.soak import report
from tests.soak.row import Amount, Outcome, SoakRow
from tests.soak.rows import ROWS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, help="makes the same choices as the run that printed it")
    parser.add_argument("--only", action="append", choices=[*ROWS], help="may be given again")
    parser.add_argument("--short", action="store_true", help="the slice of `make test`")
    parser.add_argument("--rounds", type=int, help="how much, in the row's unit")
    parser.add_argument("--json", type=Path, help="where to write what was found")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/reliability/soak.md")
    arguments = parser.parse_args()
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    tried: list[report.Tried] = []
    for name in arguments.only or ROWS:
        row = ROWS[name]
        wanted = arguments.rounds or (row.short if arguments.short else row.at_least)
        if wanted:
            tried.append(_try(name, row, wanted, seed))
            sys.stdout.write(tried[-1].as_text())
            sys.stdout.flush()
            # The report is written after each row, so that a later crash loses no measurement.
            if arguments.json:
                arguments.json.write_text(report.as_json(tried))
            if arguments.write:
                report.write(tried, [row.title for row in ROWS.values()])
    return 1 if any(one.outcome.found for one in tried) else 0


def _try(name: str, row: SoakRow, wanted: int, seed: int) -> report.Tried:
    """Run a row in a process of its own."""
    sys.stdout.write(f"{row.title}: {wanted:,} {row.unit}, seed {seed}\n")
    sys.stdout.flush()
    began = time.monotonic()
    # If the row is killed, its server may take a moment to end.
    with tempfile.TemporaryDirectory(prefix="pantheon-soak-", ignore_cleanup_errors=True) as directory:
        process = fork(lambda pipe: pipe.send(row.run(Amount(wanted, seed, Path(directory)))))
        try:
            outcome: Outcome = process.pipe.recv()
        except EOFError:
            sys.exit(f"{row.title}: it broke off")
        finally:
            process.kill()
    return report.Tried(name, row, outcome, seed, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
