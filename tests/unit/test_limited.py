"""How long a statement may take, as Postgres is told."""

import pytest

from shared.db.operations.time_limit import limits


@pytest.mark.parametrize(("seconds", "milliseconds"), [(2.0, "2000"), (0.0015, "1"), (0.0004, "1"), (0.0, "1")])
def test_less_than_a_millisecond_is_one_since_none_would_be_no_limit(seconds: float, milliseconds: str) -> None:
    assert limits(seconds) == {"b_milliseconds": milliseconds}
