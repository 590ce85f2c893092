"""Run the matrix or a part of it. Ends with 1 after a finding, or if the harness misses a negative control."""

import argparse
import logging
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.faults import report, rows_graph
from tests.faults.matrix import FaultRow, Tally, run_row
from tests.faults.rows import ROWS
from tests.faults.sabotage import SABOTAGES, find
from tests.faults.tampering import unseen
from tests.faults.world import World

# The most rounds in which a missing guard must be noticed.
_MOST_ROUNDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="makes the same choices as the run that printed it")
    parser.add_argument("--only", action="append", help=f"{', '.join(ROWS)} or controls; may be given again")
    parser.add_argument("--rounds", type=int, help="how often, in the place of each row's own number")
    parser.add_argument("--short", action="store_true", help="the slice of `make test`")
    parser.add_argument("--graphs", action="store_true", help="the rows of graphs, which need the extra `graphs`")
    parser.add_argument("--json", type=Path, help="where to write what was found")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reliability/faults.md")
    arguments = parser.parse_args()
    known, sabotages = (rows_graph.ROWS, rows_graph.CONTROLS) if arguments.graphs else (ROWS, SABOTAGES)
    wanted = arguments.only or [*known, "controls"]
    if unknown := set(wanted) - {*known, "controls"}:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    report.say(f"seed {seed}")
    # The findings report each error once.
    logging.getLogger("shared").addHandler(logging.NullHandler())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pantheon-faults-") as directory, World(Path(directory)) as world:
        rows = []
        for name in (name for name in known if name in wanted):
            row = known[name]
            rounds = arguments.rounds or (row.short if arguments.short else row.at_least)
            tally = run_row(world, name, row, rounds, seed)
            report.say_row(row.title, tally)
            rows.append((row, tally))
        controls = [(name, _control(world, name, known, seed)) for name in sabotages if "controls" in wanted]
        missed = unseen(world, random.Random(seed)) if "controls" in wanted and not arguments.graphs else []
        (server,) = world.rows("SHOW server_version")
    run = report.Run(seed, server["server_version"], time.monotonic() - began, rows, controls, missed)
    if arguments.json:
        arguments.json.write_text(report.as_json(run))
    if arguments.write:
        report.write(run)
    return 1 if run.failed else 0


def _control(world: World, name: str, rows: Mapping[str, FaultRow], seed: int) -> Tally:
    """Run a row of the matrix with one guard taken out, until a finding shows it."""
    sabotage = find(name)
    world.renew()
    world.sabotaged = name
    if sabotage.sql:
        world.owner.execute(sabotage.sql.encode())
    try:
        tally = run_row(world, sabotage.row, rows[sabotage.row], _MOST_ROUNDS, seed, until=sabotage.caught_as)
    finally:
        world.sabotaged = None
        world.dismiss()
        world.renew()
        if sabotage.repair:
            world.owner.execute(sabotage.repair.encode())
    outcome = "caught" if report.caught(name, tally) else "NOT CAUGHT"
    report.say(f"{sabotage.title}: {outcome} after {tally.rounds} rounds, {tally.seconds:.0f} s: {dict(tally.found)}")
    return tally


if __name__ == "__main__":
    sys.exit(main())
