"""Measure the time of a turn beside its models: Pantheon against a hand-written floor, in turn.

    python -m bench.turn                writes its table, from 300 turns of each case
    python -m bench.turn --turns 50 --print

Both take the same API Gateway event and answer it; the provider answers at once, in the process. Pantheon also streams
the events of such a turn to a reader that takes them all. Ratios hold from machine to machine; times do not.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import psycopg

from bench import report
from bench.delay import delayed
from bench.floor import Floor
from bench.world import KEYS, Case, Handler, World

WARM_UP = 30
CASES = (
    Case("manual, 1 agent", "manual", KEYS[:1]),
    Case("tag, 3 agents", "tag", KEYS[:3]),
    Case("parallel, 3 agents", "manual", KEYS[:3], fan_out="parallel"),
    Case("roundtable, 5 agents", "roundtable", KEYS[:5]),
    Case("orchestrator, manager and 3", "orchestrator", KEYS[:3]),
    Case("the same with a summary", "orchestrator", KEYS[:3], summaries=True),
)
COLUMNS = (
    *("case", "floor", "Pantheon", "ratio", "spread ratio", "CPU ratio", "ratio at 1 ms", "WAL ratio"),
    *("streamed", "streamed CPU", "streamed at 1 ms"),
)
_WATCHED = {"Content-Type": "application/json", "Host": "localhost", "Accept": "text/event-stream"}
_ENDED = b"event: turn.ended\ndata: "


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each side, floor, Pantheon and Pantheon with a stream: milliseconds of every turn, of CPU a turn, and bytes of
    WAL a turn."""

    times: Sequence[Sequence[float]]
    cpu: Sequence[float]
    wal: Sequence[float]

    def medians(self) -> list[float]:
        return [statistics.median(times) for times in self.times]

    def spread(self) -> float:
        """How much further Pantheon's 95th percentile is from its median than the floor's from its own."""
        floor, pantheon = (statistics.quantiles(times, n=20)[-1] / statistics.median(times) for times in self.times[:2])
        return pantheon / floor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=300, help="turns per side and case (300)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = [_row(case, arguments.turns) for case in CASES]
    report.write("turns", COLUMNS, rows, f"{arguments.turns} turns of each side and case", only_print=arguments.print)


def _row(case: Case, turns: int) -> list[str]:
    with World.start(case) as world:
        near = _measure(world, world.server_url, world.app_url, turns)
        with delayed(world.port, 1.0) as port:
            far = _measure(world, world.through(port, world.server_url), world.through(port, world.app_url), turns)
    floor, pantheon, streamed = near.medians()
    far_floor, far_pantheon, far_streamed = far.medians()
    return [
        case.name,
        f"{floor:.2f} ms",
        f"{pantheon:.2f} ms",
        f"{pantheon / floor:.2f}",
        f"{near.spread():.2f}",
        f"{near.cpu[1] / near.cpu[0]:.2f}",
        f"{far_pantheon / far_floor:.2f}",
        f"{near.wal[1] / near.wal[0]:.2f}",
        f"{streamed / floor:.2f}",
        f"{near.cpu[2] / near.cpu[0]:.2f}",
        f"{far_streamed / far_floor:.2f}",
    ]


def _measure(world: World, server_url: str, app_url: str, turns: int) -> Measured:
    with psycopg.connect(server_url, autocommit=True, prepare_threshold=0) as connection:
        floor = Floor(connection, world.provider, world.template(), summaries=world.case.summaries)
        handler = world.handler(app_url)
        posts = [world.posts() for _ in range(3)]
        sides: list[Callable[[], Mapping[str, Any]]] = [
            lambda: floor.take_turn(next(posts[0])),
            lambda: handler(next(posts[1]), world.context),
            lambda: watch(handler, next(posts[2]), world.context),
        ]
        with redirect_stdout(io.StringIO()):
            for side in sides:
                for _ in range(WARM_UP):
                    expect(201, side())
            times, cpu = compare(sides, turns)
            wal = [_wal(world, side) for side in sides]
    return Measured(times, cpu, wal)


def watch(handler: Handler, event: Mapping[str, Any], context: object) -> Mapping[str, Any]:
    """Take a turn with the events that a client sees, to their end, and answer as without them."""
    headers = {name: [value] for name, value in _WATCHED.items()}
    stream: Any = handler({**event, "headers": _WATCHED, "multiValueHeaders": headers}, context)
    _, ended, turn = b"".join(stream.body).rpartition(_ENDED)
    return {"statusCode": 201 if ended else stream.status, "body": turn}


def compare(
    sides: Sequence[Callable[[], Mapping[str, Any]]], count: int, status: int = 201
) -> tuple[list[list[float]], list[float]]:
    """The milliseconds of each of `count` answers, and their mean of CPU, of each side. The sides take turns, so that
    whatever disturbs one disturbs both."""
    times: list[list[float]] = [[] for _ in sides]
    cpu = [0.0 for _ in sides]
    for _ in range(count):
        for number, side in enumerate(sides):
            started, busy = time.perf_counter(), time.process_time()
            answer = side()
            times[number].append((time.perf_counter() - started) * 1000)
            cpu[number] += (time.process_time() - busy) * 1000 / count
            expect(status, answer)
    return times, cpu


def _wal(world: World, side: Callable[[], object], turns: int = 20) -> float:
    before = world.wal_bytes()
    for _ in range(turns):
        side()
    return (world.wal_bytes() - before) / turns


def expect(status: int, response: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response. Ends the benchmark where it is another one."""
    if response["statusCode"] != status:
        raise SystemExit(response["body"])
    return response


if __name__ == "__main__":
    main()
