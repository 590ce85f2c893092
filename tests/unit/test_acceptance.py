"""Tests the clock of a turn: the database's time, continued by the clock of the process."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.turns.acceptance import Accepted


def test_clock_of_a_turn_adds_the_seconds_since_acceptance_to_the_databases_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database_now = datetime(2030, 1, 1, tzinfo=UTC)
    accepted = Accepted(database_now - timedelta(days=1), database_now, 10.0)
    monkeypatch.setattr(time, "monotonic", lambda: 110.0)
    assert accepted.now() - database_now == timedelta(seconds=100)
