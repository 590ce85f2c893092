"""Tests a turn's duration: from its acceptance to its end, in however many processes it ran."""

import json
from collections.abc import Callable
from uuid import UUID

import pytest

from infra_cdk.stages import PROD, Stage
from shared.llm.port import Request
from shared.names import Metric
from tests.support.cloudwatch.service import Service
from tests.support.council_room import Killed, answer

pytest_plugins = ["tests.support.sqs.fixtures", "tests.support.cloudwatch.fixtures"]


def seconds(service: Service, metric: Metric) -> float:
    """The value that was emitted last."""
    *_, line = (line for _, _, line in service.lines if metric in line)
    return float(line[metric][0])


@pytest.fixture
def service(in_service: Callable[[Stage], Service]) -> Service:
    return in_service(PROD)


def test_a_turn_that_waited_for_the_worker_lasted_since_it_was_posted(service: Service) -> None:
    posted = service.post("@writer hello", later=True)
    service.room.rows("UPDATE turns SET created_at = created_at - interval '10 minutes' RETURNING 1")
    service.room.provider.enqueue(answer())
    assert not service.deliver(UUID(json.loads(posted["body"])["id"]))
    (took_s,) = service.room.row("SELECT extract(epoch FROM completed_at - created_at)::float FROM turns").values()
    assert seconds(service, Metric.TURN_DURATION) == pytest.approx(took_s, abs=0.001)
    assert took_s >= 600
    assert seconds(service, Metric.TURN_OVERHEAD) < 60, "of the process that published it"


def test_a_turn_whose_process_died_lasted_since_it_was_posted(service: Service) -> None:
    def die(_: Request) -> str:
        raise Killed

    service.room.provider.enqueue(die, answer())
    turn_id = service.room.take_until_killed("@writer hello")
    service.room.rows("UPDATE turns SET created_at = created_at - interval '5 minutes' RETURNING 1")
    assert not service.deliver(turn_id)
    assert 300 <= seconds(service, Metric.TURN_DURATION) < 360


def test_a_turn_of_one_process_lasted_for_as_long_as_it_ran(service: Service) -> None:
    service.post("@writer hello", answer())
    assert 0 < seconds(service, Metric.TURN_DURATION) < 60
