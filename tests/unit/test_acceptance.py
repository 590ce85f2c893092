"""The clock that a turn goes by is the database's, carried on by that of its process."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.turns.acceptance import Accepted


def test_what_has_passed_since_the_turn_was_accepted_is_added_to_the_databases_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database_now = datetime(2030, 1, 1, tzinfo=UTC)
    accepted = Accepted(database_now - timedelta(days=1), database_now, 10.0)
    monkeypatch.setattr(time, "monotonic", lambda: 110.0)
    assert accepted.now() - database_now == timedelta(seconds=100)
