"""Measure the turns a second of Pantheon and the floor, with one process per core, each in its own sessions.

    python -m bench.throughput                  writes its table, from 5 seconds of each case
    python -m bench.throughput --print --seconds 2

Every process has one connection, as on Lambda. With calls that take 50 ms a process waits, and more of them fit.
"""

import argparse
from collections.abc import Iterator

import psycopg

from bench import report
from bench.floor import Floor
from bench.rate import rate
from bench.report import cores
from bench.turn import expect
from bench.world import KEYS, TENANT, Case, World

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
            world.before_fork()
            floor = rate(lambda _: _floor(world), processes, arguments.seconds).per_second
            pantheon = rate(lambda _: turns(world), processes, arguments.seconds).per_second
        figures = [f"{floor:.0f}", f"{pantheon:.0f}", f"{pantheon / floor:.2f}", str(processes)]
        rows.append([f"{wait_s * 1000:.0f} ms", str(processes), *figures])
    report.write("throughput", COLUMNS, rows, f"{arguments.seconds} s of each side", only_print=arguments.print)


def turns(world: World, tenant: str = TENANT) -> Iterator[object]:
    """Take Pantheon's turns one by one."""
    handler = world.handler(world.app_url)
    for event in world.posts(tenant):
        yield expect(201, handler(event, world.context))


def _floor(world: World) -> Iterator[object]:
    with psycopg.connect(world.server_url, autocommit=True, prepare_threshold=0) as connection:
        floor = Floor(connection, world.provider, world.template())
        for event in world.posts():
            yield expect(201, floor.take_turn(event))


if __name__ == "__main__":
    main()
