"""What is shown and what rings is what is emitted: a day of everything, through the real handlers, against the
dashboards and alarms of the synthesised stack. A metric that nobody reads is not emitted."""

from collections.abc import Callable

import pytest

from infra_cdk.stages import DEV, Stage
from shared.names import METRICS_NAMESPACE, Metric
from tests.cloudwatch import day
from tests.cloudwatch.metrics import Named
from tests.cloudwatch.service import Service
from tests.council_room import CouncilRoom
from tests.infra.assembly import assembled
from tests.infra.watched_metrics import Read, read_by
from tests.sqs import HOST

pytest_plugins = ["tests.sqs.fixtures", "tests.cloudwatch.fixtures"]


@pytest.fixture
def emitted(in_service: Callable[[Stage], Service], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> list[Named]:
    """Every metric of the day, with its dimensions."""
    room.limit("1000", "platform")
    # Nor does the queue take anything.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://{HOST}:1")
    service = in_service(DEV)
    day.live(service, monkeypatch)
    return [metric for metric in service.metrics.names() if metric.namespace == METRICS_NAMESPACE]


def test_everything_that_is_read_is_emitted_and_everything_emitted_is_read(emitted: list[Named]) -> None:
    reads = read_by(assembled().templates[DEV.name])
    assert sorted(map(str, (read for read in reads if not any(is_of(read, metric) for metric in emitted)))) == []
    unread = {metric for metric in emitted if not any(is_of(read, metric) for read in reads)}
    assert unread == set()
    # Every name is in use.
    assert {metric.name for metric in emitted} == set(Metric)


def is_of(read: Read, metric: Named) -> bool:
    return read.is_of(metric.name, dict(metric.dimensions))
