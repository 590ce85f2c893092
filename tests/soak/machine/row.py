"""The machine as rows: so many runs of fifty steps; and with each guard taken out, until that is noticed."""

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
# Each with a database and a provider of its own.
_PROCESSES = 2
# A guard that is missing is noticed within so many runs, or it is not.
_MOST_RUNS = 100
# The machine looks at no letters of reviews, and at no hold of a single turn.
_GUARDS = [name for name, sabotage in SABOTAGES.items() if sabotage.row != "council"]


def run(amount: Amount) -> Outcome:
    """In two processes at once, of which each does half."""
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
    """Without the first so many guards of `tests.faults.sabotage`, one at a time."""
    found, after = [], {}
    with World(amount.directory) as world:
        for name in _GUARDS[: amount.wanted]:
            runs, kinds = _run_without(world, name, amount.seed)
            after[SABOTAGES[name].title] = f"noticed as {', '.join(kinds)} after {runs} runs"
            if not kinds:
                found.append(("not noticed", SABOTAGES[name].title))
    return Outcome(len(after), found, after)


def _run_without(world: World, name: str, seed_: int) -> tuple[int, list[str]]:
    """After how many runs it was noticed, and as what."""
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
    """Up to so many runs, until something is found. What is found is made smaller where that is wanted."""
    log, deployment = Log(), Deployment(world)
    # The server is not killed here, and nothing else asks for it.
    for statement in (b"ALTER SYSTEM SET fsync = off", b"SELECT pg_reload_conf()"):
        world.owner.execute(statement)

    try:
        # A run is cut short where its choices take too much room: what counts are the steps.
        while log.steps < runs * STEPS and not log.found:
            # Processes are not scheduled twice alike: where a beginning that is tried again goes on in another way,
            # Hypothesis has nothing to build on, and begins anew.
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
