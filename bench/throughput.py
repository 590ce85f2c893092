"""How many turns a second this machine takes: Pantheon and the floor, one process a core, each in sessions of its own.

    python -m bench.throughput                  writes the table in docs/performance.md, from 5 seconds of each case
    python -m bench.throughput --print --seconds 2

Every process has one connection, as on Lambda. With calls that take 50 ms a process waits, and more of them fit.
"""

import argparse
import io
import multiprocessing
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from multiprocessing.synchronize import Barrier
from typing import Any, Literal

import psycopg

from bench import report
from bench.floor import Floor
from bench.report import cores
from bench.world import KEYS, Case, World

Side = Literal["floor", "Pantheon"]
CASE = Case("manual, 1 agent", "manual", KEYS[:1])
COLUMNS = ("a call takes", "processes", "floor, turns/s", "Pantheon, turns/s", "ratio", "connections")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds per side and case (5)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = []
    for wait_s, processes in ((0.0, cores()), (0.05, 4 * cores())):
        with World.start(CASE, wait_s=wait_s) as world:
            floor = _rate(world, "floor", processes, arguments.seconds)
            pantheon = _rate(world, "Pantheon", processes, arguments.seconds)
        figures = [f"{floor:.0f}", f"{pantheon:.0f}", f"{pantheon / floor:.2f}", str(processes)]
        rows.append([f"{wait_s * 1000:.0f} ms", str(processes), *figures])
    report.write("throughput", COLUMNS, rows, f"{arguments.seconds} s of each side", only_print=arguments.print)


def _rate(world: World, side: Side, processes: int, seconds: float) -> float:
    """Turns per second of all processes together."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(world, side, seconds, ready, done)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    rate = sum(done.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(rate)


def _work(world: World, side: Side, seconds: float, ready: Barrier, done: Any) -> None:
    with psycopg.connect(world.server_url, autocommit=True, prepare_threshold=0) as connection:
        handler = world.handler(world.app_url)
        floor = Floor(connection, world.provider, world.template())
        turns: dict[Side, Callable[[dict[str, Any]], object]] = {
            "floor": floor.take_turn,
            "Pantheon": lambda event: handler(event, world.context),
        }
        with redirect_stdout(io.StringIO()):
            posts = world.posts()
            turns[side](next(posts))
            ready.wait()
            count, started = 0, time.monotonic()
            while (passed := time.monotonic() - started) < seconds:
                turns[side](next(posts))
                count += 1
    done.put(count / passed)


if __name__ == "__main__":
    main()
