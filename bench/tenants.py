"""Whether one tenant's concurrent turns wait for each other at the row of its budget: as many processes of one tenant,
without a limit and with one, against as many tenants.

    python -m bench.tenants                  writes the table in docs/performance.md
    python -m bench.tenants --print --seconds 1

Every commit takes a millisecond longer than the disk needs: `commit_delay` with `commit_siblings` 0, for which a
commit sleeps before it flushes. While it sleeps it holds its locks, the budget's row among them. Under a limit, which
is never met here, each call waits for that row.
"""

import argparse

import psycopg

from bench import report
from bench.rate import rate
from bench.throughput import CASE, turns
from bench.world import SETTINGS, TENANT, World

SLOW_COMMIT = {"commit_delay": "1000", "commit_siblings": "0"}
# How many at once, and how long a call takes, in seconds.
CROWDS = ((8, 0.0), (64, 0.05))
ROUNDS = 3
LIMITED = "limited"
COLUMNS = (
    *("turns at once", "a call takes", "as many tenants, turns/s", "one tenant, turns/s", "ratio"),
    *("one with a limit, turns/s", "ratio"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per round and side (2)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = [_row(processes, wait_s, arguments.seconds) for processes, wait_s in CROWDS]
    what = f"{ROUNDS} rounds of {arguments.seconds} s of each side, a commit slowed by 1 ms"
    report.write("tenants", COLUMNS, rows, what, only_print=arguments.print)


def _row(processes: int, wait_s: float, seconds: float) -> list[str]:
    tenants = [f"tenant-{number}" for number in range(processes)]
    one = limited = many = 0.0
    with World.start(CASE, SETTINGS | SLOW_COMMIT, wait_s) as world:
        world.make_tenants([*tenants, LIMITED])
        with psycopg.connect(world.server_url, autocommit=True) as owner:
            owner.execute("INSERT INTO budget_limits (payer, limit_usd) VALUES (%s, 1000000)", [f"tenant:{LIMITED}"])
        world.before_fork()
        # Turn about, so that whatever disturbs one disturbs all.
        for _ in range(ROUNDS):
            one += rate(lambda _: turns(world, TENANT), processes, seconds) / ROUNDS
            limited += rate(lambda _: turns(world, LIMITED), processes, seconds) / ROUNDS
            many += rate(lambda number: turns(world, tenants[number]), processes, seconds) / ROUNDS
    figures = [f"{many:.0f}", f"{one:.0f}", f"{one / many:.2f}", f"{limited:.0f}", f"{limited / many:.2f}"]
    return [str(processes), f"{wait_s * 1000:.0f} ms", *figures]


if __name__ == "__main__":
    main()
