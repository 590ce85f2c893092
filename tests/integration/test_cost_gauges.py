"""Tests that the gauges of money equal the ledger's sums, even if a process was killed before it emitted a turn."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.sweeper import handler as sweeper
from functions.sweeper.phases import SECONDS
from local.gateway.worker import LambdaContext
from shared import telemetry
from shared.db.engine import Database
from shared.domain.money import TOKEN_CLASSES
from shared.llm.scripted import ScriptedProvider
from shared.names import Dimension, Env, Metric, Role
from shared.settings import operations_settings
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn
from tests.support.council_room import AMPLE_S, DEEP_COST, FAST_COST, CouncilRoom, DatabaseUrls, answer, unknown

Series = dict[tuple[str, str | None, str | None], float]
# A sweep that waits for a lock must fail its test instead of hanging.
ENDS = "-c idle_in_transaction_session_timeout=10s"
MONTH = "period = date_trunc('month', timezone('UTC', now()))"


@pytest.fixture
def operations(database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = database_urls.of(Role.OPS)
    db = Database(url)
    monkeypatch.setattr(sweeper, "operations_database", lambda: db)
    monkeypatch.setenv(Env.OPS_DATABASE_URL, url)
    operations_settings.cache_clear()
    yield db
    db.close()
    operations_settings.cache_clear()


@pytest.fixture
def sweep(
    room: CouncilRoom, operations: Database, logging_as_it_was: None, capsys: pytest.CaptureFixture[str]
) -> Callable[[], Series]:
    """Return the metrics of one sweep, by metric, dimension and its value."""

    def swept() -> Series:
        capsys.readouterr()
        sweeper.handler({}, LambdaContext("sweeper", "request-1", time.monotonic() + 60))
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        return dict(read for line in lines for read in series(line))

    return swept


def series(line: dict[str, Any]) -> Iterator[tuple[tuple[str, str | None, str | None], float]]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    (declared,) = directive["Dimensions"]
    dimension = next((name for name in declared if name != "service"), None)
    for metric in directive["Metrics"]:
        yield (metric["Name"], dimension, line[dimension] if dimension else None), line[metric["Name"]][0]


def of(found: Series, metric: Metric, dimension: Dimension) -> dict[str | None, float]:
    return {name: value for (named, of, name), value in found.items() if (named, of) == (metric, dimension)}


def by(room: CouncilRoom, column: str) -> dict[str, float]:
    """Return the ledger's month, by a column."""
    query = f"SELECT {column} AS name, sum(amount_usd) AS usd FROM usage_entries WHERE {MONTH} GROUP BY 1"
    return {row["name"]: float(row["usd"]) for row in room.rows(query)}


def test_cost_gauges_are_the_ledgers_sums_by_each_dimension(sweep: Callable[[], Series], room: CouncilRoom) -> None:
    room.provider.enqueue(unknown(), answer(), answer())
    room.take("@writer @researcher hello")
    room.owner.execute("UPDATE usage_ledger SET provider = 'openai' WHERE model_alias = 'deep'")
    found = sweep()
    assert set(of(found, Metric.MONTH_USD, Dimension.PROVIDER)) == {"scripted", "openai"}
    for dimension in (Dimension.MODEL_ALIAS, Dimension.PURPOSE, Dimension.REASON, Dimension.PROVIDER):
        assert of(found, Metric.MONTH_USD, dimension) == by(room, dimension)
    assert set(of(found, Metric.MONTH_USD, Dimension.REASON)) == {"reply", "unknown_outcome"}
    accounts = of(found, Metric.MONTH_USD, Dimension.ACCOUNT)
    assert accounts == {"platform": 0.0, **by(room, "account")}
    assert accounts["tenant"] == float(FAST_COST + DEEP_COST)
    assert found[Metric.SUSPENSE_USD, None, None] == accounts["suspense"] > 0


def test_token_gauges_are_the_ledgers_sums_by_class(sweep: Callable[[], Series], room: CouncilRoom) -> None:
    room.provider.enqueue(answer())
    room.take("@writer hello")
    sums = ", ".join(f"sum({name}) AS {name.removesuffix('_tokens')}" for name in TOKEN_CLASSES)
    expected = {name: float(value) for name, value in room.row(f"SELECT {sums} FROM usage_ledger").items()}
    found = of(sweep(), Metric.MONTH_TOKENS, Dimension.TOKEN_CLASS)
    assert found == expected
    assert all(value > 0 for value in found.values())


def test_cost_gauges_include_every_tenant(sweep: Callable[[], Series], room: CouncilRoom) -> None:
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        for one in (room, other):
            one.provider.enqueue(answer())
            one.take("@writer hello")
    assert of(sweep(), Metric.MONTH_USD, Dimension.ACCOUNT)["tenant"] == float(2 * FAST_COST)


def publish_and_die(app_url: str, session_id: UUID, sent: Any) -> None:
    """Take a turn in a process that is killed after its commit, before its metrics are on standard output."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    provider = ScriptedProvider()
    provider.enqueue(unknown(), answer())
    telemetry._put = die  # type: ignore[assignment]
    runner = Runner(Database(app_url), provider, lambda: AMPLE_S)
    outcome = take_turn(runner, TurnRequest("tenant-1", "user-1", session_id, "@writer hello"))
    sent.send(str(outcome.turn_id))
    telemetry.emit(outcome)


def test_gauges_include_the_turn_of_a_killed_process(sweep: Callable[[], Series], room: CouncilRoom) -> None:
    received, sent = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=publish_and_die, args=(room.app_url, room.session_id, sent)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert received.poll()
    assert room.row("SELECT status FROM turns") == {"status": "completed"}
    found = sweep()
    spent = room.row(f"SELECT sum(amount_usd) AS usd FROM usage_ledger WHERE {MONTH}")["usd"]
    assert spent > FAST_COST
    for dimension in (Dimension.MODEL_ALIAS, Dimension.PURPOSE):
        assert of(found, Metric.MONTH_USD, dimension) == by(room, dimension)
        assert sum(of(found, Metric.MONTH_USD, dimension).values()) == float(spent)
    accounts = of(found, Metric.MONTH_USD, Dimension.ACCOUNT)
    assert accounts == {"platform": 0.0, **by(room, "account")}
    assert accounts["tenant"] == float(FAST_COST)
    assert accounts["suspense"] == found[Metric.SUSPENSE_USD, None, None] == float(spent - FAST_COST)


def test_gauges_leave_out_other_months_except_their_suspense(
    sweep: Callable[[], Series], room: CouncilRoom, owner: psycopg.Connection[Any]
) -> None:
    room.provider.enqueue(unknown(), answer())
    room.take("@writer hello")
    before = sweep()
    for table in ("usage_ledger", "llm_calls", "budgets", "budget_holds"):
        owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
    found = sweep()
    assert of(found, Metric.MONTH_USD, Dimension.MODEL_ALIAS) == {"fast": 0.0}
    assert set(of(found, Metric.MONTH_USD, Dimension.ACCOUNT).values()) == {0.0}
    assert found[Metric.SUSPENSE_USD, None, None] == before[Metric.SUSPENSE_USD, None, None] > 0
    assert found[Metric.MONTH_FORECAST_USD, None, None] == 0


class TestBudget:
    def used(self, found: Series) -> float | None:
        return found.get((Metric.PLATFORM_BUDGET_USED, None, None))

    def test_platforms_gauge_is_the_spent_share_of_its_limit_and_is_stored_for_holds(
        self, sweep: Callable[[], Series], room: CouncilRoom
    ) -> None:
        assert self.used(sweep()) is None
        room.limit(4 * FAST_COST, "platform")
        assert self.used(sweep()) == 0
        for _ in range(3):
            room.provider.enqueue(answer(""), answer())
            room.take("@writer hello", session_id=room.make_session())
        assert self.used(sweep()) == 75
        (kept,) = room.rows("SELECT period, spent_usd FROM platform_months")
        assert kept == room.row("SELECT DISTINCT period, 3 * %s AS spent_usd FROM llm_calls", FAST_COST)
        room.limit(0, "platform")
        assert self.used(sweep()) == 100


def test_drift_is_the_difference_of_budgets_and_ledger(
    sweep: Callable[[], Series], room: CouncilRoom, owner: psycopg.Connection[Any]
) -> None:
    room.provider.enqueue(answer())
    room.take("@writer hello")
    assert sweep()[Metric.LEDGER_DRIFT_USD, None, None] == 0
    owner.execute(b"UPDATE budgets SET spent_usd = spent_usd + 0.25")
    try:
        assert sweep()[Metric.LEDGER_DRIFT_USD, None, None] == 0.25
    finally:
        owner.execute(b"UPDATE budgets SET spent_usd = spent_usd - 0.25")


def test_gauge_is_left_out_when_its_query_exceeds_its_time(
    sweep: Callable[[], Series], database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for phase in ("month", "hour", "roll_up", "invariants"):
        monkeypatch.setitem(SECONDS, phase, 0.05)
    with psycopg.connect(database_urls.owner, options=ENDS) as busy:
        busy.execute("LOCK TABLE usage_ledger IN ACCESS EXCLUSIVE MODE")
        found = sweep()
    money = (Metric.LEDGER_DRIFT_USD, Metric.HOUR_USD, Metric.USUAL_HOUR_USD)
    assert not [name for name, *_ in found if name.startswith("Month") or name in money]
    assert (Metric.OLDEST_ACTIVE_TURN, None, None) in found
