"""Measure whether a turn slows down in a long session, for a large tenant, or beside a long ledger.

    python -m bench.growth    writes its table, from 100 turns of each case
    python -m bench.growth --print --turns 20
    python -m bench.growth --ledger 1000000 10000000       the second takes minutes, and 10 GB

Each case takes turns with a session of 50 turns on the same server. `ANALYZE` is never run. Rows add up from case to
case. The ledger grows with the journal, by one row per call.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from bench import report
from bench.world import KEYS, SETTINGS, TENANT, Case, World

CASE = Case("tag, 3 agents", "tag", KEYS[:3])
# Rows are made by the million, and no checkpoint of that is to fall into what is measured.
_SERVER = {**SETTINGS, "max_wal_size": "16GB"}
COLUMNS = ("beside", "a session of 50 turns", "this session", "ratio")
WARM_UP = 10
# The number of past turns that a turn loads. A longer session loads no more.
_LOADED = 50

_SESSIONS = """
    INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys)
    SELECT gen_random_uuid(), %(tenant)s, 'bench', '', 'tag', 'sequential', ARRAY['ada']
    FROM generate_series(1, %(n)s)"""
_TURNS = """
    INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
      roster, plan, lease_epoch, response, completed_at)
    SELECT gen_random_uuid(), %(tenant)s, %(session)s, 'bench', n, 'completed', '', 'What now?', 'tag', 'sequential',
      '[]', '{"selected_agent_keys": ["ada"], "source": "tags", "unknown_tags": []}', 1, '{}', now()
    FROM generate_series(1, %(n)s) n"""
_REPLIES = """
    INSERT INTO replies (turn_id, position, tenant_id, agent_key, agent_version, name, status, text, cost_usd)
    SELECT id, 0, tenant_id, 'ada', 1, 'Ada', 'completed', repeat('word ', 40), 0
    FROM turns WHERE session_id = %(session)s"""
_CALLS = """
    INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, model_alias, provider,
      model_id, request_hash, payer, period, reserve_usd, rates, status, finished_at, posted_at)
    SELECT gen_random_uuid(), t.tenant_id, t.session_id, t.id, s, 1, 'agent', 'fast', 'scripted', 'scripted-fast', '',
      'tenant:' || t.tenant_id, '2026-01-01', 0, '{}', 'succeeded', now(), now()
    FROM (SELECT * FROM turns WHERE session_id = %(session)s) t, generate_series(0, %(each)s - 1) s"""
_LEDGER = """
    INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
      model_alias, amount_usd, rates)
    SELECT tenant_id, session_id, turn_id, call_id, step, attempt, 'post', 'platform', period, purpose, model_alias,
      0, '{}' FROM llm_calls WHERE session_id = %(session)s"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100, help="turns per side and case (100)")
    parser.add_argument("--ledger", type=int, nargs="*", default=[1_000_000], help="rows of the ledger (1000000)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = []
    with World.start(CASE, _SERVER) as world, psycopg.connect(world.server_url, autocommit=True) as owner:
        lengths = {turns: _make_session(owner, world, turns) for turns in (100, 1_000, 10_000)}
        for turns, session in lengths.items():
            rows.append(_row(world, f"{turns:,} turns in the session", session, arguments.turns))
        _make_session(owner, world, 10_000)
        rows.append(_row(world, "the same, and 10,000 others of the tenant", lengths[10_000], arguments.turns))
        for sessions in (100, 10_000):
            owner.execute(_SESSIONS, {"tenant": TENANT, "n": sessions})
            rows.append(_row(world, f"{sessions:,} more sessions of the tenant", world.make_session(), arguments.turns))
        written = 0
        for ledger in arguments.ledger:
            _write_ledger(owner, world, ledger - written)
            written = ledger
            rows.append(_row(world, f"{ledger:,} rows in the ledger", world.make_session(), arguments.turns))
    report.write("growth", COLUMNS, rows, f"{arguments.turns} turns of each side", only_print=arguments.print)


def _write_ledger(owner: psycopg.Connection[Any], world: World, rows: int) -> None:
    session = _make_session(owner, world, 1_000)
    # Foreign keys are checked by triggers, row by row; these hold by how the rows are made.
    owner.execute("SET session_replication_role = replica")
    owner.execute(_CALLS, {"session": session, "each": rows // 1_000})
    owner.execute(_LEDGER, {"session": session})
    owner.execute("RESET session_replication_role")


def _make_session(owner: psycopg.Connection[Any], world: World, turns: int) -> UUID:
    session = world.make_session()
    params = {"tenant": TENANT, "session": session, "n": turns}
    for statement in (_TURNS, _REPLIES):
        owner.execute(statement, params)
    owner.execute("UPDATE sessions SET next_turn_index = %(n)s + 1 WHERE id = %(session)s", params)
    return session


def _row(world: World, name: str, session: UUID, turns: int) -> list[str]:
    """The session against one that is just as long as what a turn loads of it."""
    handler = world.handler(world.app_url)
    with psycopg.connect(world.server_url, autocommit=True) as owner:
        beside = _make_session(owner, world, _LOADED)
    events = [world.event(beside), world.event(session)]
    fresh, other = _medians([partial(handler, event, world.context) for event in events], turns)
    return [name, f"{fresh:.2f} ms", f"{other:.2f} ms", f"{other / fresh:.2f}"]


def _medians(sides: Sequence[Callable[[], object]], turns: int) -> list[float]:
    times: list[list[float]] = [[] for _ in sides]
    with redirect_stdout(io.StringIO()):
        for turn in range(WARM_UP + turns):
            for side, measured in zip(sides, times, strict=True):
                started = time.perf_counter()
                side()
                if turn >= WARM_UP:
                    measured.append((time.perf_counter() - started) * 1000)
    return [statistics.median(measured) for measured in times]


if __name__ == "__main__":
    main()
