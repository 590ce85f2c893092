"""Tests the sweeper's real handler: its gauges, its retention, its connection and its log."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.operations.time_limit import read_within
from shared.names import Env, Metric
from shared.settings import operations_settings
from tests.support.council_room import CouncilRoom, words_left
from tests.support.sweeping import Sweep, accept
from tests.support.sweeping import gauges as gauges  # noqa: PLC0414 a fixture
from tests.support.sweeping import operations as operations  # noqa: PLC0414 a fixture
from tests.support.sweeping import run as run  # noqa: PLC0414 a fixture

SHOWN = [compiled(text(f"SHOW {name}")) for name in ("statement_timeout", "plan_cache_mode", "enable_seqscan")]


def test_untouched_sessions_are_deleted_when_retention_days_are_set(
    run: Sweep, room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.take("@writer hello")
    aged = "created_at = created_at - interval '31 days', updated_at = updated_at - interval '31 days'"
    room.owner.execute(f"UPDATE sessions SET {aged}".encode())
    assert run()["deleted"] == 0
    monkeypatch.setenv(Env.RETENTION_DAYS, "30")
    operations_settings.cache_clear()
    assert run()["deleted"] == 1
    assert room.row("SELECT deleted_at IS NOT NULL AS deleted FROM sessions") == {"deleted": True}


class TestGauges:
    def test_gauges_are_zero_without_turns(self, gauges: Callable[[], dict[str, float]]) -> None:
        assert gauges() == {
            Metric.ACTIVE_TURNS: 0,
            Metric.DUE_TURNS: 0,
            Metric.OLDEST_ACTIVE_TURN: 0,
            Metric.MONTH_FORECAST_USD: 0,
            Metric.HOUR_USD: 0,
            Metric.USUAL_HOUR_USD: 0,
            Metric.SUSPENSE_USD: 0,
            Metric.LEDGER_DRIFT_USD: 0,
            Metric.BROKEN_INVARIANTS: 0,
            Metric.UNCHECKED_INVARIANTS: 0,
        }

    def test_gauges_count_turns_that_have_not_ended(
        self, gauges: Callable[[], dict[str, float]], room: CouncilRoom
    ) -> None:
        room.take("@writer hello")
        room.owner.execute("UPDATE turns SET created_at = created_at - interval '9 days'")
        accept(room)
        accept(room, due=False)
        room.owner.execute(
            "UPDATE turns SET created_at = created_at - interval '1 hour' WHERE dispatch_after <= clock_timestamp()"
        )
        found = gauges()
        assert (found[Metric.ACTIVE_TURNS], found[Metric.DUE_TURNS]) == (2, 1)
        assert 3600 <= found[Metric.OLDEST_ACTIVE_TURN] < 3660


def test_query_sets_a_limit_and_a_custom_plan_and_resets_both(
    operations: Database,
) -> None:
    show = [(statement, dict[str, object]()) for statement in SHOWN]

    def values(rows: list[list[Row]]) -> list[object]:
        return [value for (row,) in rows for value in row.values()]

    assert values(read_within(operations, 1.5, *show)) == ["1500ms", "force_custom_plan", "off"]
    assert values(operations.read_all(None, *show)) == ["0", "auto", "on"]


def test_log_has_no_text_of_a_turn(run: Sweep, room: CouncilRoom, capsys: pytest.CaptureFixture[str]) -> None:
    room.provider.enqueue("sesame")
    room.take("@writer sesame")
    run()
    assert words_left(room, "sesame")
    assert "sesame" not in capsys.readouterr().out
