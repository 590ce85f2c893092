"""Compares the dashboards and alarms of the synthesised stack with the metrics that the real handlers emit in a day.

Every metric that is read is emitted, and the reverse.
"""

from collections.abc import Callable
from decimal import Decimal

import pytest

from infra_cdk.stages import STAGING, Stage
from shared.names import METRICS_NAMESPACE, Metric
from tests.support.cloudwatch import day
from tests.support.cloudwatch.boards import Widget, boards_of
from tests.support.cloudwatch.insights import Line
from tests.support.cloudwatch.metrics import Named, Window
from tests.support.cloudwatch.service import Service
from tests.support.council_room import CouncilRoom, answer
from tests.support.sqs import HOST
from tests.support.templates.assembly import assembled
from tests.support.templates.watched_metrics import Read, read_by

pytest_plugins = ["tests.support.sqs.fixtures", "tests.support.cloudwatch.fixtures"]


@pytest.fixture
def lived(in_service: Callable[[Stage], Service], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A stage after a day of every kind of traffic."""
    room.limit("1000", "platform")
    # The queue takes nothing either.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://{HOST}:1")
    service = in_service(STAGING)
    day.live(service, monkeypatch)
    return service


@pytest.fixture
def emitted(lived: Service) -> list[Named]:
    """Every metric of the day, with its dimensions."""
    return [metric for metric in lived.metrics.names() if metric.namespace == METRICS_NAMESPACE]


@pytest.fixture(scope="module")
def bill() -> Callable[[str], Widget]:
    """A widget of the cost dashboard, by its title."""
    (board,) = (board for board in boards_of(assembled().templates[STAGING.name]) if board.kind == "cost")
    return {widget.title: widget for widget in board.widgets}.__getitem__


def newest(service: Service, widget: Widget) -> dict[str, float]:
    """The last value of each line, by its label."""
    window = Window(service.now - 3600, service.now + 3600)
    return {label: series[max(series)] for label, series in widget.lines(service.metrics, window)}


def test_metrics_that_are_read_and_emitted_are_the_same(emitted: list[Named]) -> None:
    reads = read_by(assembled().templates[STAGING.name])
    assert sorted(map(str, (read for read in reads if not any(is_of(read, metric) for metric in emitted)))) == []
    unread = {metric for metric in emitted if not any(is_of(read, metric) for read in reads)}
    assert unread == set()
    # Every name is in use.
    assert {metric.name for metric in emitted} == set(Metric)


@pytest.mark.parametrize(
    ("title", "column"),
    [
        ("Cost this month by reason (USD)", "reason"),
        ("Cost this month by account (USD)", "account"),
        ("Cost this month by purpose (USD)", "purpose"),
        ("Cost this month by model (USD)", "model_alias"),
        ("Cost this month by provider (USD)", "provider"),
    ],
)
def test_the_cost_of_the_month_is_the_ledgers(
    lived: Service, bill: Callable[[str], Widget], title: str, column: str
) -> None:
    # The day has one provider. A value of the next hour cannot be compared with the maximum of earlier ones.
    lived.now += 3600
    lived.room.owner.execute("UPDATE usage_ledger SET provider = 'openai' WHERE purpose <> 'agent'")
    lived.sweep()
    names = {
        "reason": {"reply", "helper", "review", "failed_attempt"},
        "purpose": {"agent", "review", "routing"},
    }
    rows = lived.room.rows(f"SELECT {column} AS name, sum(amount_usd)::float AS usd FROM usage_entries GROUP BY 1")
    assert newest(lived, bill(title)) == {row["name"]: row["usd"] for row in rows}
    assert len(rows) > 1
    assert {row["name"] for row in rows} >= names.get(column, set())


def test_the_tokens_of_reviews_are_shown_by_model_and_purpose(lived: Service, bill: Callable[[str], Widget]) -> None:
    window = Window(lived.now - 3600, lived.now + 3600)
    for title, columns in (
        ("Prompt", "input_tokens + cache_read_tokens + cache_write_tokens"),
        ("Answer", "output_tokens + reasoning_tokens"),
    ):
        lines = dict(bill(f"{title} tokens per hour by model and purpose").lines(lived.metrics, window))
        shown = [series for label, series in lines.items() if "review" in label]
        query = f"SELECT sum({columns})::float AS tokens FROM llm_calls WHERE purpose = 'review'"
        assert sum(sum(series.values()) for series in shown) == lived.room.row(query)["tokens"] > 0


def test_the_cost_in_suspense_is_the_ledgers(lived: Service, bill: Callable[[str], Widget]) -> None:
    lived.sweep()
    left = lived.room.row("SELECT sum(amount_usd)::float AS usd FROM usage_entries WHERE account = 'suspense'")
    assert newest(lived, bill("Cost in suspense (USD)")) == {"in suspense": left["usd"]}
    assert left["usd"] > 0


def test_the_allowance_drawn_is_the_budgets_by_tenant_most_expensive_first(
    lived: Service, bill: Callable[[str], Widget]
) -> None:
    room = lived.room
    other = CouncilRoom(room.owner, room.app_url, "tenant-2")
    with other.databases:
        for _ in range(3):
            other.provider.enqueue(answer(""), answer())
            other.take("@writer hello", session_id=other.make_session())
    lived.sweep()
    widget = bill("Allowance drawn by tenant (USD)")
    columns, rows = widget.table(logged(lived))
    assert columns == ["month", "tenant_id", "drawn", "suspense"]
    expected = room.rows("""
        SELECT substr(payer, 10) AS tenant_id, spent_usd + coalesce((SELECT sum(h.held_usd) FROM budget_holds h
            WHERE h.payer = b.payer AND reason = 'suspense'), 0) AS usd
        FROM budgets b WHERE payer LIKE 'platform:%%' ORDER BY usd DESC""")
    assert [(tenant_id, Decimal(usd)) for _, tenant_id, usd, _ in rows] == [tuple(row.values()) for row in expected]
    assert len(rows) == 2


def test_the_most_expensive_tenants_are_those_of_the_ledger(lived: Service, bill: Callable[[str], Widget]) -> None:
    columns, rows = bill("Most expensive tenants (USD)").table(logged(lived))
    assert columns == ["tenant_id", "usd", "paid", "turns"]
    spent = lived.room.row("SELECT sum(amount_usd)::float AS usd FROM usage_entries")["usd"]
    ((tenant_id, usd, *_),) = rows
    assert tenant_id == "tenant-1"
    assert float(usd) == pytest.approx(spent, rel=1e-5)


def logged(service: Service) -> list[Line]:
    return [{**line, "@log": f"/aws/lambda/pantheon-{STAGING.name}-{name}"} for name, _, line in service.lines]


def is_of(read: Read, metric: Named) -> bool:
    return read.is_of(metric.name, dict(metric.dimensions))
