"""Tests the forecast of a month's cost, and the used share of the platform's budget."""

from datetime import datetime
from decimal import Decimal

import pytest

from shared.db.operations.month_costs import Entry, Month
from shared.domain.money import Usage
from shared.operations import costs


def month(moment: datetime, limit_usd: Decimal | None = None, used_usd: str = "0") -> Month:
    entries = [
        Entry("fast", "agent", account, "reply", "scripted", usd, Decimal(0), Usage())
        for account, usd in (("tenant", Decimal(3)), ("platform", Decimal(used_usd)))
    ]
    return Month(moment, entries, limit_usd, Decimal(0))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 6, 16), Decimal(6)),
        (datetime(2026, 2, 8), Decimal(12)),
        # The first minute of a month is not multiplied by forty thousand.
        (datetime(2026, 6, 1, 0, 1), Decimal(3) * 720),
    ],
)
def test_forecast_extends_the_spending_of_the_month_so_far(moment: datetime, expected: Decimal) -> None:
    assert costs.forecast(month(moment)) == expected


@pytest.mark.parametrize(("limit", "used"), [(None, None), (Decimal(4), Decimal(75)), (Decimal(0), Decimal(100))])
def test_use_of_a_budget_is_in_per_cent_of_its_limit(limit: Decimal | None, used: Decimal | None) -> None:
    assert costs.budget_used(month(datetime(2026, 6, 16), limit, "3")) == used
