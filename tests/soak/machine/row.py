"""The machine as rows: a number of runs of fifty steps each, and runs without a guard that end at a finding."""

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from local.process import die_with
from tests.faults.sabotage import SABOTAGES
from tests.faults.world import World
from tests.soak.machine.deployment import Deployment
from tests.soak.machine.machine import Machine
from tests.soak.machine.witness import Log
from tests.soak.row import Amount, Outcome, SoakRow

STEPS = 50
# Each process has a database and a provider of its own.
_PROCESSES = 2
# The most runs in which a missing guard must be noticed.
_MOST_RUNS = 100
# The machine does not look at letters of reviews or at the hold of a single turn.
_GUARDS = [name for name, sabotage in SABOTAGES.items() if sabotage.row != "council"]


def run(amount: Amount) -> Outcome:
    """Run two processes at once, each with half of the runs."""
    halves = [amount.wanted // _PROCESSES, amount.wanted - amount.wanted // _PROCESSES]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_PROCESSES, context, initializer=die_with, initargs=(os.getpid(),)) as processes:
        parts = [
            processes.submit(_run_part, runs, amount.seed + number, amount.directory / str(number))
            for number, runs in enumerate(halves)
        ]
        logs = [part.result() for part in parts]
    counted = sum((Counter(log.answers) for log in logs), Counter[str]())
    answers = ", ".join(f"{count:,} {what}" for what, count in sorted(counted.items()))
    runs, steps = sum(log.runs for log in logs), sum(log.steps for log in logs)
    figures = {"runs": f"{runs:,}", "steps": f"{steps:,}", "answers": answers}
    return Outcome(steps // STEPS, [found for log in logs for found in log.found], figures)


def _run_part(runs: int, seed_: int, directory: Path) -> Log:
    directory.mkdir()
    with World(directory) as world:
        return run_machine(world, runs, seed_, shrink=True)


def run_controls(amount: Amount) -> Outcome:
    """Run without each of the first guards of `tests.faults.sabotage`, one at a time; the amount is their number."""
    found, after = [], {}
    with World(amount.directory) as world:
        for name in _GUARDS[: amount.wanted]:
            runs, kinds = _run_without(world, name, amount.seed)
            after[SABOTAGES[name].title] = f"noticed as {', '.join(kinds)} after {runs} runs"
            if not kinds:
                found.append(("not noticed", SABOTAGES[name].title))
    return Outcome(len(after), found, after)


def _run_without(world: World, name: str, seed_: int) -> tuple[int, list[str]]:
    """Return the run that noticed the missing guard, and the kind of its finding."""
    sabotage = SABOTAGES[name]
    world.renew()
    world.sabotaged = name
    if sabotage.sql:
        world.owner.execute(sabotage.sql.encode())
    try:
        log = run_machine(world, _MOST_RUNS, seed_, shrink=False)
    finally:
        world.sabotaged = None
        world.renew()
        if sabotage.repair:
            world.owner.execute(sabotage.repair.encode())
    return log.runs, sorted({kind for kind, _ in log.found} - {"smaller"})


def run_machine(world: World, runs: int, seed_: int, *, shrink: bool) -> Log:
    """Run up to this number of runs, until a finding. Hypothesis makes the finding smaller if that is asked for."""
    log, deployment = Log(), Deployment(world)
    # This row kills no server, so its settings are free.
    for statement in (b"ALTER SYSTEM SET fsync = off", b"SELECT pg_reload_conf()"):
        world.owner.execute(statement)

    try:
        # Hypothesis ends a run early if its choices take too much room. The steps count, not the runs.
        while log.steps < runs * STEPS and not log.found:
            # The scheduler never repeats itself. If a repeated beginning continues in another way, Hypothesis cannot
            # use it and begins again.
            with suppress(FlakyStrategyDefinition):
                _run(log, deployment, max(1, runs - log.steps // STEPS), seed_ + log.steps, shrink=shrink)
    except Exception as error:  # noqa: BLE001 whatever it is, it was found
        notes = "\n".join(getattr(error, "__notes__", ()))
        log.found.append(("smaller", f"{error}\n{notes}"))
    finally:
        deployment.drop()
        world.dismiss()
    return log


def _run(log: Log, deployment: Deployment, runs: int, seed_: int, *, shrink: bool) -> None:
    @seed(seed_)
    def machine() -> Machine:
        bound = type("BoundMachine", (Machine,), {"deployment": deployment, "log": log})
        return bound()  # type: ignore[no-any-return]

    limits = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(machine, settings=limits)  # type: ignore[arg-type]


ROW = SoakRow("state machine over the API", f"times {STEPS} steps", 2000, 6, run)
CONTROLS = SoakRow("the same without a guard", "guards", len(_GUARDS), 1, run_controls)
