"""Tests that the alarms of cost follow the ledger, through the sweeper's real handler.

Ledger rows are planted for a tenant of their own, with the budgets that match them.
"""

from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest

from functions.sweeper.phases import SECONDS
from infra_cdk.stages import PROD
from tests.support.cloudwatch.alarms import alarms_of
from tests.support.cloudwatch.rung import Hear
from tests.support.cloudwatch.service import Service
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.ledger_rows import entry, hours_ago, insert
from tests.support.templates.template import Template

pytest_plugins = [
    "tests.support.sqs.fixtures",
    "tests.support.cloudwatch.fixtures",
    "tests.support.cloudwatch.alarm_fixtures",
]


@pytest.fixture
def spend(room: CouncilRoom) -> Callable[..., None]:
    def spent(usd: Decimal, days_ago: int = 0) -> None:
        at = hours_ago(24 * days_ago)
        insert(room.owner, [entry(at, "tenant-9", amount_usd=usd)])
        room.owner.execute(
            """INSERT INTO budgets AS b (payer, period, spent_usd) VALUES ('tenant:tenant-9', %s, %s)
            ON CONFLICT (payer, period) DO UPDATE SET spent_usd = b.spent_usd + excluded.spent_usd""",
            (at.date().replace(day=1), usd),
        )

    return spent


@pytest.fixture
def ringing_now(service: Service, hear: Hear) -> Callable[[], set[str]]:
    """Sweep in a period of five minutes, and return the ringing alarms."""

    def swept() -> set[str]:
        service.now += 300
        service.sweep()
        found = hear(60)
        assert not found & {"LedgerDrift", "BrokenInvariant"}
        return found

    return swept


def test_hour_of_three_times_the_budgets_average_pages_without_a_history(
    spend: Callable[..., None], ringing_now: Callable[[], set[str]]
) -> None:
    even = Decimal(PROD.budget_usd) / 730
    spend(even * 3 - 1)
    assert "CostRunsAway" not in ringing_now()
    spend(Decimal("1.01"))
    assert "CostRunsAway" in ringing_now()


def test_hour_of_three_times_the_usual_cost_pages(
    spend: Callable[..., None], ringing_now: Callable[[], set[str]]
) -> None:
    for days_ago in range(1, 8):
        spend(Decimal(1000) if days_ago == 3 else Decimal(10), days_ago)
    spend(Decimal(29))
    assert "CostRunsAway" not in ringing_now()
    spend(Decimal(1))
    assert "CostRunsAway" in ringing_now()


def test_month_is_a_ticket_at_four_fifths_of_the_stages_budget(
    spend: Callable[..., None], ringing_now: Callable[[], set[str]]
) -> None:
    spend(Decimal(PROD.budget_usd) * Decimal("0.8") - 1)
    assert "MonthCost" not in ringing_now()
    spend(Decimal(1))
    assert "MonthCost" in ringing_now()


def test_forecast_is_a_ticket_once_a_tenth_of_the_budget_is_spent(
    spend: Callable[..., None], ringing_now: Callable[[], set[str]], room: CouncilRoom
) -> None:
    (left,) = room.row("""
        SELECT extract(epoch FROM interval '1 month' + date_trunc('month', now(), 'UTC')
            - date_trunc('month', now(), 'UTC')) / greatest(3600, extract(epoch FROM now()
            - date_trunc('month', now(), 'UTC')))""").values()
    least = max(PROD.budget_usd / Decimal(left), Decimal(PROD.budget_usd) / 10)
    spend(least * Decimal("0.99"))
    assert "MonthForecast" not in ringing_now()
    spend(least * Decimal("0.02"))
    assert "MonthForecast" in ringing_now()


def test_forecast_rings_for_nothing_until_a_tenth_is_spent(service: Service, template: Template) -> None:
    """The gauges are given, with the values of a month's first hours."""
    alarm = alarms_of(template)["MonthForecast"]

    def rings(month_usd: float) -> bool:
        service.now += 300
        for _, named, *_ in alarm.metrics():
            given = {("account", "tenant"): month_usd, ("account", "platform"): 0.0, ("account", "suspense"): 0.0}
            (usd,) = [usd for pair, usd in given.items() if pair in named.dimensions] or [PROD.budget_usd * 10.0]
            service.metrics.put(named, service.now, usd)
        return alarm.rings(service.metrics, service.now + 60)

    assert not rings(PROD.budget_usd * 0.099)
    assert rings(PROD.budget_usd * 0.1)


def test_unread_cost_is_a_ticket_after_a_quarter_of_an_hour(
    service: Service, hear: Hear, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.sweep()
    found = []
    with (
        monkeypatch.context() as patched,
        psycopg.connect(database_urls.owner, options="-c idle_in_transaction_session_timeout=60s") as busy,
    ):
        for phase in ("month", "hour", "roll_up", "invariants"):
            patched.setitem(SECONDS, phase, 0.05)
        busy.execute("LOCK TABLE usage_rolled_up IN ACCESS EXCLUSIVE MODE")
        for _ in range(4):
            service.now += 300
            service.sweep()
            found.append("CostUnread" in hear())
    assert found == [False, False, False, True]
    service.sweep()
    assert "CostUnread" not in hear(60)
