"""Measure the bytes and the processor time of a turn through the handlers, and write footprint.json.

    python -m bench.footprint

The turn is an orchestrator's with a manager and three agents. The provider answers immediately. Bytes hardly depend on
the machine; processor time does.
"""

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import psycopg

from bench.world import KEYS, Case, Context, World
from local.database import role_urls
from shared.names import Env

KEPT: Final = Path(__file__).with_name("footprint.json")
AGENTS: Final = 3
CASE: Final = Case("orchestrator, manager and 3", "orchestrator", KEYS[:AGENTS])
_SIZE = """SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


@dataclass(frozen=True)
class Footprint:
    """The bytes and milliseconds of processor of one turn and one sweep. Logged bytes include EMF lines."""

    wal_bytes: int
    stored_bytes: int
    logged_bytes: int
    response_bytes: int
    cpu_ms: float
    sweep_logged_bytes: int
    sweep_cpu_ms: float

    @classmethod
    def kept(cls) -> Self:
        return cls(**json.loads(KEPT.read_text()))


def measure(world: World, turns: int, sweeps: int = 10) -> Footprint:
    """Return the means over `turns` and `sweeps`."""
    handler, posts = world.handler(world.app_url), world.posts()
    # Redirect once, because the logger keeps the first standard output.
    with redirect_stdout(io.StringIO()) as printed:
        answers = [handler(next(posts), world.context)["body"] for _ in range(5)]
        wal, stored = world.wal_bytes(), _stored(world)
        logged, cpu_ms = _cost(lambda: answers.append(handler(next(posts), world.context)["body"]), turns, printed)
        wal, stored = world.wal_bytes() - wal, _stored(world) - stored
        with _sweeper(world) as sweep:
            sweep()
            sweep_logged, sweep_cpu_ms = _cost(sweep, sweeps, printed)
    return Footprint(
        round(wal / turns),
        round(stored / turns),
        logged,
        len(answers[-1].encode()),
        cpu_ms,
        sweep_logged,
        sweep_cpu_ms,
    )


def _cost(what: Callable[[], object], times: int, printed: io.StringIO) -> tuple[int, float]:
    """Return the mean bytes on standard output and milliseconds of processor of one call of `what`."""
    before, started = len(printed.getvalue()), time.process_time()
    for _ in range(times):
        what()
    milliseconds = (time.process_time() - started) * 1000
    return round((len(printed.getvalue()) - before) / times), round(milliseconds / times, 1)


def _stored(world: World) -> int:
    with psycopg.connect(world.server_url, autocommit=True) as connection:
        row = connection.execute(_SIZE).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def _sweeper(world: World) -> Iterator[Callable[[], object]]:
    from functions.sweeper import handler as sweeper
    from shared.db.engine import operations_database
    from shared.settings import operations_settings

    known = (operations_database, operations_settings)
    os.environ[Env.OPS_DATABASE_URL] = role_urls(world.server_url).ops
    for cached in known:
        cached.cache_clear()
    yield lambda: sweeper.handler({}, Context())
    operations_database().close()
    for cached in known:
        cached.cache_clear()


def main() -> None:
    with World.start(CASE) as world:
        found = measure(world, 200)
    KEPT.write_text(json.dumps(asdict(found), indent=2) + "\n")
    print(KEPT.read_text())


if __name__ == "__main__":
    main()
