"""Tests each alarm of the production stage: it rings at its threshold and not below, and never in an hour of normal
traffic.

The real handlers emit Pantheon's metrics. Of AWS's own metrics, a server that speaks SQS counts the dead letters.
Throttles and pinned sessions are given, in the units and with the dimensions that AWS documents. AWS Budgets is not
tested. Failures and silence have modules of their own.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions.worker import handler as worker
from infra_cdk.entries import COUNTING
from infra_cdk.stages import PROD
from local.gateway.worker import LambdaContext
from shared.db.engine import Database
from shared.names import MAX_RECEIVES, METRICS_NAMESPACE
from tests.support.cloudwatch.alarms import Alarm, alarms_of
from tests.support.cloudwatch.day import NONSENSE, ROUTED
from tests.support.cloudwatch.rung import ONLY_ON_AWS, RANG, SILENCE, Hear
from tests.support.cloudwatch.service import NOWHERE, Service
from tests.support.council_room import USAGE, CouncilRoom, answer, unknown
from tests.support.invocation_records import invocation
from tests.support.sqs import MotoQueue
from tests.support.templates.template import Template

pytest_plugins = [
    "tests.support.sqs.fixtures",
    "tests.support.cloudwatch.fixtures",
    "tests.support.cloudwatch.alarm_fixtures",
]


def give(service: Service, alarm: Alarm, value: float, number: int = 0) -> None:
    """Add a measurement by AWS of one of the metrics that the alarm reads."""
    service.metrics.put(list(alarm.metrics())[number][1], service.now, value)


def test_broken_invariant_pages(service: Service, rings: Callable[[], set[str]], room: CouncilRoom) -> None:
    service.post("@writer hello", answer())
    service.sweep()
    assert rings() == set()
    (reply,) = room.rows("DELETE FROM replies RETURNING *")
    del reply["has_text"]  # generated
    service.sweep()
    assert rings() == {"BrokenInvariant"}
    room.owner.execute(
        f"INSERT INTO replies ({', '.join(reply)}) VALUES ({', '.join(['%s'] * len(reply))})".encode(),
        [json.dumps(value) if isinstance(value, dict) else value for value in reply.values()],
    )
    service.sweep()
    assert rings() == set()


def test_budgets_that_differ_from_the_ledger_page(
    service: Service, rings: Callable[[], set[str]], room: CouncilRoom
) -> None:
    service.post("@writer hello", answer())
    service.sweep()
    assert rings() == set()
    # The smallest error of a budget.
    least = "0.000000000001"
    room.rows("UPDATE budgets SET spent_usd = spent_usd + %s::numeric RETURNING 1", least)
    service.sweep()
    assert rings() == {"LedgerDrift", "BrokenInvariant"}
    room.rows("UPDATE budgets SET spent_usd = spent_usd - %s::numeric RETURNING 1", least)


def test_call_in_the_providers_record_without_a_journal_row_pages(
    service: Service, rings: Callable[[], set[str]]
) -> None:
    service.reconcile(invocation(uuid4(), USAGE, "dev"))
    assert rings() == set()
    service.reconcile(invocation(uuid4(), USAGE, PROD.name))
    assert rings() == {"UnjournaledCall"}


def test_a_dead_letter_pages(
    service: Service,
    rings: Callable[[], set[str]],
    alarm: Callable[[str], Alarm],
    deployed: MotoQueue,
    context: LambdaContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dead() -> float:
        """The metric of SQS, and the queue of the alarm."""
        asked = deployed.client.get_queue_attributes(
            QueueUrl=deployed.dead_letter_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return float(asked["Attributes"]["ApproximateNumberOfMessages"])

    service.post("@writer hello", later=True)
    with monkeypatch.context() as patched:
        patched.setattr(worker, "database", lambda: Database(NOWHERE))
        for _ in range(MAX_RECEIVES):
            give(service, alarm("DeadLetter"), dead())
            assert deployed.poll(context) == 1
    assert rings() == set()
    assert deployed.poll(context) == 0
    give(service, alarm("DeadLetter"), dead())
    assert rings() == {"DeadLetter"}


def test_turn_that_does_not_end_pages_after_five_minutes(service: Service, hear: Hear, room: CouncilRoom) -> None:
    service.post("@writer hello", later=True)

    def minute(seconds: int) -> bool:
        room.rows("UPDATE turns SET created_at = now() - make_interval(secs => %s) RETURNING 1", seconds)
        service.sweep()
        service.now += 60
        return "OldestActiveTurn" in hear()

    limit = 45 * 60
    assert [minute(limit - 30) for _ in range(5)][-1] is False
    assert [minute(limit + 30) for _ in range(5)] == [False] * 4 + [True]


def test_unknown_calls_are_a_ticket_at_two_in_a_hundred(service: Service, rings: Callable[[], set[str]]) -> None:
    for _ in range(15):
        service.post("hello", answer(), answer(), answer(), mode="roundtable")
    service.post("@writer hello", answer())
    service.post("@writer hello", unknown(), answer())
    assert rings() == set(), "one of 48 says nothing"
    service.post("@writer @critic hello", answer(), answer())
    assert rings() == {"UnknownRate"}, "one of 50"
    service.post("@writer hello", answer())
    assert rings() == set(), "one of 51"


def test_fallbacks_are_a_ticket_at_ten_in_a_hundred_turns(service: Service, rings: Callable[[], set[str]]) -> None:
    def turns(good: int, bad: int) -> None:
        for _ in range(good):
            service.post("hello", ROUTED, answer(), mode="orchestrator")
        for _ in range(bad):
            service.post("hello", NONSENSE, answer(), mode="orchestrator")

    turns(good=17, bad=2)
    assert rings() == set(), "two of 19 say nothing"
    turns(good=1, bad=0)
    assert rings() == {"FallbackRate"}, "two of 20"
    turns(good=1, bad=0)
    assert rings() == set(), "two of 21"


def test_throttles_are_a_ticket_at_ten_in_five_minutes(
    service: Service, rings: Callable[[], set[str]], alarm: Callable[[str], Alarm]
) -> None:
    """Throttles count for each function and each model."""
    watched = list(alarm("Throttles").metrics())
    assert len(watched) == 9
    for number in range(len(watched)):
        give(service, alarm("Throttles"), 9, number)
        assert rings() == set()
        give(service, alarm("Throttles"), 1, number)
        assert rings() == {"Throttles"}
        service.now += 300


def test_platforms_budget_is_a_ticket_at_four_fifths(
    service: Service, rings: Callable[[], set[str]], room: CouncilRoom
) -> None:
    service.post("hello", ROUTED, answer(), mode="orchestrator")
    budget = room.budget("platform")
    assert budget is not None
    room.limit(budget["spent_usd"] / Decimal("0.79"), "platform")
    service.sweep()
    assert rings() == set()
    room.limit(budget["spent_usd"] / Decimal("0.8"), "platform")
    service.sweep()
    assert rings() == {"PlatformBudget"}


def test_pinned_connections_of_the_proxy_are_a_ticket_at_a_half(
    service: Service, rings: Callable[[], set[str]], alarm: Callable[[str], Alarm]
) -> None:
    give(service, alarm("PinnedSessions"), PROD.connections / 2 - 1)
    assert rings() == set()
    give(service, alarm("PinnedSessions"), PROD.connections / 2)
    assert rings() == {"PinnedSessions"}


def test_alarms_are_all_rung_by_a_test_or_only_by_aws(template: Template) -> None:
    assert set(RANG) | set(ONLY_ON_AWS) == set(alarms_of(template)) | {"Canary"}
    assert not set(RANG) & set(ONLY_ON_AWS)
    told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*alarms*.py"))
    # Each of these fixtures fails a test that did not ring its alarms.
    proving = {test for test in RANG.values() if re.search(rf"def {test}\([^)]*\b(hear|rings|ringing_now):", told)}
    assert proving == set(RANG.values())


@pytest.mark.parametrize("name", sorted(ONLY_ON_AWS))
def test_an_alarm_that_only_aws_can_ring_reads_a_metric_that_aws_documents(
    name: str, alarm: Callable[[str], Alarm]
) -> None:
    """By name, dimensions and statistic. See the pages on metrics of Lambda, Bedrock and RDS Proxy."""
    documented = {
        ("AWS/Lambda", "Throttles", ("FunctionName",), "Sum"),
        ("AWS/Lambda", "Errors", ("FunctionName", "Resource"), "Sum"),
        ("AWS/Bedrock", "InvocationThrottles", ("ModelId",), "Sum"),
        ("AWS/RDS", "DatabaseConnectionsCurrentlySessionPinned", ("ProxyName",), "Maximum"),
    }
    read = {
        (metric.namespace, metric.name, tuple(sorted(name for name, _ in metric.dimensions)), statistic)
        for _, metric, statistic, _ in alarm(name).metrics()
    }
    assert read
    assert read <= documented


def test_an_hour_of_normal_traffic_rings_for_nothing(service: Service, template: Template, hear: Hear) -> None:
    """The hour has every mode, turns that wait, and now and then a lost call and a fallback."""
    service.room.limit("1000", "platform")
    found = [hear() for _ in a_normal_hour(service)]
    # The first sweeps, copies and reconciliation end the silence.
    assert set().union(*found[:5]) <= SILENCE
    assert set().union(*found[5:]) == set()
    silent = {
        alarm.name
        for alarm in alarms_of(template).values()
        if any(metric.namespace == METRICS_NAMESPACE for _, metric, *_ in alarm.metrics())
        and not alarm.values(service.metrics, service.now)
    }
    failures = {f"Release{entry.title}Failures" for entry in COUNTING}
    assert silent == failures | {"UnjournaledCall"}, "what never happens, and what happens once an hour"


def a_normal_hour(service: Service) -> Iterator[int]:
    """A minute after the other; each has ended when it is yielded."""
    for minute in range(60):
        match minute % 4:
            case 0:
                service.post("@writer hello", answer())
            case 1:
                service.post("hello", answer(), answer(), answer(), mode="roundtable")
            case 2:
                service.post("hello", NONSENSE if minute == 30 else ROUTED, answer(), mode="orchestrator")
            case 3:
                waiting = service.post("@writer @critic hello", later=True)
                service.room.provider.enqueue(*[unknown()] * (minute == 43), answer(), answer())
                assert not service.deliver(UUID(json.loads(waiting["body"])["id"]))
        if minute in (0, 20):
            service.reconcile()
        if minute % 5 == 0:
            service.copy_keys()
        service.sweep()
        service.now += 60
        yield minute
