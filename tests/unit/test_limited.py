"""Tests the time limit of a statement that Postgres gets."""

import pytest

from shared.db.operations.time_limit import limits


@pytest.mark.parametrize(("seconds", "milliseconds"), [(2.0, "2000"), (0.0015, "1"), (0.0004, "1"), (0.0, "1")])
def test_time_limit_is_at_least_one_millisecond(seconds: float, milliseconds: str) -> None:
    assert limits(seconds) == {"b_milliseconds": milliseconds}
