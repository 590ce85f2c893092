"""Measure a usage report on ten million rows, from the rolled-up hours and from the ledger alone, and compare both.

    python -m bench.usage                10,000,000 rows over 30 days of 100 tenants, half of them one tenant's
    python -m bench.usage --rows 200000

The rows are made by SQL. The plain aggregate is the same report from `usage_ledger`, with the same sums, role and
indexes. It also measures what the ledger's indexes add to a turn's write-ahead log.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import dict_row

from bench.world import KEYS, Case, World
from local import postgres
from local.database import RoleUrls, prepare

Result = TypeVar("Result")

DAYS = 30
BIG_TENANT = "tenant-0"
REPEATS = 5
_BY_TIME = ("usage_ledger_tenant_id_created_at_id_idx", "usage_ledger_created_at_idx")
_SERVER = {"shared_buffers": "1GB", "max_wal_size": "16GB", "fsync": "off", "maintenance_work_mem": "1GB"}

_MAKE: LiteralString = """
    INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
        agent_key, model_alias, input_tokens, output_tokens, amount_usd, rates, created_at, reason, user_id)
    SELECT 'tenant-' || CASE WHEN i %% 2 = 0 THEN 0 ELSE 1 + (i / 2) %% 99 END, md5((i / 40)::text)::uuid,
        gen_random_uuid(), gen_random_uuid(), i %% 5, 1, 'post',
        CASE WHEN i %% 50 = 7 THEN 'suspense' WHEN i %% 10 = 3 THEN 'platform' ELSE 'tenant' END,
        date_trunc('month', at, 'UTC')::date,
        CASE WHEN i %% 10 = 3 THEN 'routing' ELSE 'agent' END, CASE WHEN i %% 10 <> 3 THEN 'agent-' || i %% 7 END,
        'alias-' || i %% 4, tokens, tokens / 5, tokens * 0.25 / 1000000 + tokens / 5 * 2.0 / 1000000,
        '{"input": "0.25", "output": "2", "cache_read": "0.025", "cache_write": "0.25", "reasoning": "2"}', at,
        CASE WHEN i %% 50 = 7 THEN 'unknown_outcome' WHEN i %% 10 = 3 THEN 'helper' ELSE 'reply' END,
        'user-' || (i / 40) %% 10
    FROM (SELECT i, %s::timestamptz + i * (interval '30 days' / %s::int) AS at, 200 + (random() * 4000)::int AS tokens
        FROM generate_series(1::bigint, %s::bigint) AS i) AS made"""

_PLAIN = """
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, model_alias, count(*) FILTER (WHERE kind = 'post') AS calls,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
        sum(reasoning_tokens) AS reasoning_tokens,
        coalesce(sum(amount_usd) FILTER (WHERE account = 'tenant'), 0) AS cost_usd,
        coalesce(sum(amount_usd) FILTER (WHERE account = 'platform'), 0) AS platform_cost_usd,
        coalesce(sum(amount_usd) FILTER (WHERE account = 'suspense'), 0) AS suspense_usd
    FROM usage_ledger WHERE created_at >= $1 AND created_at < $2
    GROUP BY 1, 2 ORDER BY 1 DESC, 2 DESC"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the ledger (10,000,000)")
    rows = parser.parse_args().rows
    _report_wal()
    with tempfile.TemporaryDirectory() as folder, postgres.start(Path(folder), settings=_SERVER) as server:
        urls = prepare(server.url)
        with psycopg.connect(server.url, autocommit=True) as owner:
            end = datetime.now(UTC)
            _make(owner, rows, end - timedelta(days=DAYS))
            _report(owner, urls, end)


def _report_wal() -> None:
    """Bytes of write-ahead log of a turn of three agents, with the ledger's indexes by time and without them."""
    with World.start(Case("tag, 3 agents", "tag", KEYS[:3])) as world:
        handler, posts = world.handler(world.app_url), world.posts()

        def turns(number: int) -> float:
            before = world.wal_bytes()
            with redirect_stdout(io.StringIO()):
                for _ in range(number):
                    handler(next(posts), world.context)
            return (world.wal_bytes() - before) / number

        turns(90)
        with_both = turns(90)
        with psycopg.connect(world.server_url, autocommit=True) as owner:
            for name in _BY_TIME:
                owner.execute(f"DROP INDEX {name}".encode())
        without = turns(90)
    print(f"WAL of a turn of 3 agents: {without:,.0f} bytes without the indexes by time, {with_both:,.0f} with them")


def _indexes(owner: psycopg.Connection[Any], *names: str) -> dict[str, str]:
    return {name: str(_value(owner, f"SELECT pg_get_indexdef('{name}'::regclass)")) for name in names}


def _make(owner: psycopg.Connection[Any], rows: int, start: datetime) -> None:
    """Fill the ledger. Indexes are made afterwards, which takes less time; no foreign key is looked at."""
    by_call = ("usage_ledger_one_post_per_call", "usage_ledger_one_tenant_reply_per_step")
    indexes = _indexes(owner, *by_call, *_BY_TIME)
    started = time.monotonic()
    for name in indexes:
        owner.execute(f"DROP INDEX {name}".encode())
    owner.execute("SET session_replication_role = replica")
    owner.execute(_MAKE, (start, rows, rows))
    for definition in indexes.values():
        owner.execute(definition.encode())
    owner.execute("VACUUM ANALYZE usage_ledger")
    size = _value(owner, "SELECT pg_size_pretty(pg_total_relation_size('usage_ledger'))")
    print(f"{rows:,} rows over {DAYS} days, {size} with their indexes, made in {time.monotonic() - started:.0f} s")


def _report(owner: psycopg.Connection[Any], urls: RoleUrls, end: datetime) -> None:
    from shared.db.api.pages import PageRequest
    from shared.db.engine import Database
    from shared.db.usage.ledger import load_ledger
    from shared.db.usage.roll_up import roll_up
    from shared.db.usage.totals import GROUPS, Period, load_totals
    from shared.domain.actor import Actor

    app, ops, operator = Database(urls.app), Database(urls.ops), Database(urls.operator)
    month = Period(end - timedelta(days=DAYS + 1), end)

    def totals(db: Database, tenant_id: str | None, *groups: str, period: Period = month) -> Sequence[Any]:
        actor = Actor(tenant_id, "bench", is_admin=True) if tenant_id else None
        return load_totals(db, actor, period, groups, PageRequest(1000)).items

    before = totals(app, BIG_TENANT, "day", "model_alias")
    started, hours = time.monotonic(), 0
    while roll_up(ops, 1):
        hours += 1
    took = time.monotonic() - started
    owner.execute("VACUUM ANALYZE usage_hours, usage_days")
    print(f"{hours} hours rolled up in {took:.1f} s, {took / hours * 1000:.0f} ms each")
    for table in ("usage_hours", "usage_days"):
        kept = _value(owner, f"SELECT count(*) FROM {table}")
        print(f"{table}: {kept:,} rows, " + _value(owner, f"SELECT pg_size_pretty(pg_total_relation_size('{table}'))"))
    assert totals(app, BIG_TENANT, "day", "model_alias") == before, "rolling up has changed a total"

    print(f"{'a month by day and model':<34}{'plain':>12}{'usage API':>12}{'ratio':>8}")
    for name, url, tenant_id in (
        ("half of the rows: one tenant", urls.app, BIG_TENANT),
        ("half a percent: a small tenant", urls.app, "tenant-7"),
        ("all rows: the operator", urls.operator, None),
    ):
        plain_ms, plain = _timed(partial(_plain, url, tenant_id, month))
        api_ms, answered = _timed(partial(totals, app if tenant_id else operator, tenant_id, "day", "model_alias"))
        assert [{key: row[key] for key in plain[0]} for row in answered] == plain, "the totals differ"
        print(f"{name:<34}{plain_ms:>9,.1f} ms{api_ms:>9,.1f} ms{plain_ms / api_ms:>7,.0f}x")

    day = Period(end - timedelta(days=1), end)
    admin = Actor(BIG_TENANT, "bench", is_admin=True)
    first = load_ledger(app, admin, month, PageRequest(100))
    others: dict[str, Callable[[], object]] = {
        "by all but session": lambda: totals(app, BIG_TENANT, *(name for name in GROUPS if name != "session_id")),
        "a day by session, from the ledger": lambda: totals(app, BIG_TENANT, "session_id", period=day),
        "a month by session": lambda: totals(app, BIG_TENANT, "session_id"),
        "first page of 100 rows": lambda: load_ledger(app, admin, month, PageRequest(100)),
        "second page": lambda: load_ledger(app, admin, month, PageRequest(100, first.next_cursor)),
        "10,000 rows, a page of CSV": lambda: load_ledger(app, admin, month, PageRequest(10_000)),
    }
    for name, ask in others.items():
        print(f"{name:<46}{_timed(ask)[0]:>9,.1f} ms")


def _plain(url: str, tenant_id: str | None, period: Any) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row, cursor_factory=psycopg.RawCursor) as connection:
        connection.execute("SELECT set_config('app.tenant_id', $1, true)", (tenant_id or "",))
        return connection.execute(_PLAIN.encode(), (period.start, period.end)).fetchall()


def _timed(ask: Callable[[], Result]) -> tuple[float, Result]:
    """The median of a few times, in milliseconds, and what it answered."""
    result = ask()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = ask()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), result


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0] if not isinstance(row[0], Decimal) else int(row[0])


if __name__ == "__main__":
    main()
