"""A long run: one session of thousands of turns, with summaries, and a ledger of a million rows.

Its last turns read, write and keep no more than the turns after its first summaries did.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import text

from bench.world import KEYS, TENANT, Case, World
from shared.db.compiler import compiled
from shared.db.engine import Row, database
from shared.db.operations.invariants import INVARIANTS
from shared.names import Env
from tests.faults.checks import Finding
from tests.soak.processes import private_mb
from tests.soak.row import Amount, Outcome

# The number of ledger rows for each turn that is taken.
_LEDGER_ROWS_PER_TURN = 100
_SUMMARY_AFTER = 12
# The most turns that a turn can load, and a few summaries.
_WARM_UP = 60
_PARTS = 10
# The most growth from the first part to the last one.
_MOST_RATIO, _MOST_GROWN_MB = 1.1, 10.0
_LEDGER = """
    INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
      model_alias, amount_usd, rates, created_at)
    SELECT %(tenant)s, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 0, 1, 'post', 'platform', '2026-01-01',
      'agent', 'fast', 0, '{}', now() - interval '1 second' * (n %% 1000000) FROM generate_series(1, %(rows)s) n"""
_READ = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS rows FROM pg_stat_user_tables"
_BACKEND = "SELECT pid FROM pg_stat_activity WHERE usename = 'pantheon_app'"
# Postgres publishes a connection's read counters within a second, or when it is asked to.
_TELL = compiled(text("SELECT pg_stat_force_next_flush()"))


@dataclass(frozen=True)
class Part:
    """Figures per turn: milliseconds of wall clock (median) and of this process's CPU, rows read, bytes of WAL.

    At its end: private memory of this process and of the server's, in MB.
    """

    wall_ms: float
    cpu_ms: float
    rows: float
    wal: float
    process_mb: float
    backend_mb: float


def run(amount: Amount) -> Outcome:
    case = Case("tag, 1 agent", "tag", KEYS[:1])
    with World.start(case) as world, psycopg.connect(world.server_url, autocommit=True, row_factory=dict_row) as owner:
        os.environ[Env.SUMMARY_AFTER_TURNS] = str(_SUMMARY_AFTER)
        _fill_ledger(owner, amount.wanted * _LEDGER_ROWS_PER_TURN)
        taken = _Session(world, owner)
        # Each part has the same number of summaries.
        size = max(1, (amount.wanted - _WARM_UP) // _PARTS // _SUMMARY_AFTER) * _SUMMARY_AFTER
        taken.take(max(_WARM_UP, amount.wanted - size * _PARTS))
        parts = [taken.take(size) for _ in range(_PARTS)]
        kept = owner.execute("SELECT count(*) AS summaries FROM summaries").fetchone()
        assert kept is not None
        figures = {"rows of the ledger": f"{amount.wanted * _LEDGER_ROWS_PER_TURN:,}"} | _figures(parts)
        figures["summaries"] = f"{kept['summaries']:,}"
        return Outcome(taken.turns, [*taken.found, *_grown(parts), *_broken(owner)], figures)


def _fill_ledger(owner: psycopg.Connection[Row], rows: int) -> None:
    """Fill the ledger as a superuser, because the calls of its foreign keys do not exist."""
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(_LEDGER, {"tenant": TENANT, "rows": rows})


class _Session:
    """One session and the figures of its turns."""

    def __init__(self, world: World, owner: psycopg.Connection[Row]) -> None:
        self.turns = 0
        self.found: list[Finding] = []
        self._world, self._owner = world, owner
        self._handler = world.handler(world.app_url)
        self._event = world.event(world.make_session())

    def take(self, number: int) -> Part:
        """Take this number of turns."""
        times: list[float] = []
        cpu, rows, wal = time.process_time(), self._rows_read(), self._world.wal_bytes()
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            for _ in range(number):
                began = time.perf_counter()
                answer = self._handler(self._event, self._world.context)
                times.append((time.perf_counter() - began) * 1000)
                self._check(answer)
        cpu = time.process_time() - cpu
        return Part(
            wall_ms=median(times),
            cpu_ms=cpu * 1000 / number,
            rows=(self._rows_read() - rows) / number,
            wal=(self._world.wal_bytes() - wal) / number,
            process_mb=private_mb(os.getpid()),
            backend_mb=sum(private_mb(row["pid"]) for row in self._owner.execute(_BACKEND)),
        )

    def _check(self, answer: Mapping[str, Any]) -> None:
        self.turns += 1
        turn = json.loads(answer["body"])
        if answer["statusCode"] != 201 or (turn["status"], turn["turn_index"]) != ("completed", self.turns):
            self.found.append(
                ("told", f"turn {self.turns} was answered {answer['statusCode']}: {answer['body'][:200]}")
            )

    def _rows_read(self) -> int:
        database().run(TENANT, _TELL, {})
        (row,) = self._owner.execute(_READ).fetchall()
        return int(row["rows"])


def _grown(parts: Sequence[Part]) -> list[Finding]:
    first, last = parts[0], parts[-1]
    ratios = {"rows read": last.rows / first.rows, "WAL": last.wal / first.wal}
    grown = {"the process": last.process_mb - first.process_mb, "the server's": last.backend_mb - first.backend_mb}
    return [
        *(
            (name, f"{ratio:.2f} times those of the first turns")
            for name, ratio in ratios.items()
            if ratio > _MOST_RATIO
        ),
        *(("memory", f"{name} grew by {mb:.1f} MB") for name, mb in grown.items() if mb > _MOST_GROWN_MB),
    ]


def _figures(parts: Sequence[Part]) -> dict[str, str]:
    first, last = parts[0], parts[-1]
    return {
        "a turn of the first tenth and of the last one": f"{first.wall_ms:.1f} and {last.wall_ms:.1f} ms",
        "CPU": f"{first.cpu_ms:.1f} and {last.cpu_ms:.1f} ms",
        "rows read": f"{first.rows:.0f} and {last.rows:.0f}",
        "WAL": f"{first.wal / 1024:.1f} and {last.wal / 1024:.1f} KB",
        "memory of the process": f"{first.process_mb:.0f} and {last.process_mb:.0f} MB",
        "memory of its backend": f"{first.backend_mb:.0f} and {last.backend_mb:.0f} MB",
    }


def _broken(owner: psycopg.Connection[Row]) -> list[Finding]:
    found = ((name, owner.execute(query.encode()).fetchall()) for name, query in INVARIANTS.items())
    return [("invariant", f"{name}: {rows[:3]}") for name, rows in found if rows]
