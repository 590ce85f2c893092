"""Measure whether one tenant's concurrent turns wait for the row of its month, against as many tenants.

    python -m bench.tenants                  writes its table
    python -m bench.tenants --print --seconds 1

The tenant never reaches its limit. In the slowed rows every commit takes a millisecond longer than the disk needs
(`commit_delay` with `commit_siblings` 0). It sleeps before it flushes, and keeps its locks meanwhile.
"""

import argparse

import psycopg

from bench import report
from bench.rate import Rate, rate
from bench.throughput import CASE, turns
from bench.world import SETTINGS, TENANT, World

SLOW_COMMIT = {"commit_delay": "1000", "commit_siblings": "0"}
# How many at once, how long a call takes, in seconds, and what slows a commit.
CROWDS: tuple[tuple[int, float, dict[str, str]], ...] = ((8, 0.0, SLOW_COMMIT), (64, 0.05, {}), (64, 0.05, SLOW_COMMIT))
ROUNDS = 3
COLUMNS = (
    *("turns at once", "a call takes", "a commit", "as many tenants, turns/s", "one tenant, turns/s", "ratio"),
    *("p95 of many", "p95 of one", "ratio of p95"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per round and side (2)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = [_row(processes, wait_s, slow, arguments.seconds) for processes, wait_s, slow in CROWDS]
    report.write(
        "tenants", COLUMNS, rows, f"{ROUNDS} rounds of {arguments.seconds} s of each side", only_print=arguments.print
    )


def _row(processes: int, wait_s: float, slow: dict[str, str], seconds: float) -> list[str]:
    tenants = [f"tenant-{number}" for number in range(processes)]
    one = many = Rate(0.0, [])
    with World.start(CASE, SETTINGS | slow, wait_s) as world:
        world.make_tenants(tenants)
        with psycopg.connect(world.server_url, autocommit=True) as owner:
            caps = "INSERT INTO budget_limits (payer, cap_usd) SELECT 'tenant:' || t, 1000000 FROM unnest(%s::text[]) t"
            owner.execute(caps, [[TENANT, *tenants]])
        world.before_fork()
        # The sides take turns, so that a disturbance of one disturbs the other.
        for _ in range(ROUNDS):
            one += rate(lambda _: turns(world, TENANT), processes, seconds)
            many += rate(lambda number: turns(world, tenants[number]), processes, seconds)
    return [
        str(processes),
        f"{wait_s * 1000:.0f} ms",
        "1 ms slower" if slow else "the disk's",
        f"{many.per_second / ROUNDS:.0f}",
        f"{one.per_second / ROUNDS:.0f}",
        f"{one.per_second / many.per_second:.2f}",
        f"{many.p95_ms:.0f} ms",
        f"{one.p95_ms:.0f} ms",
        f"{one.p95_ms / many.p95_ms:.2f}",
    ]


if __name__ == "__main__":
    main()
