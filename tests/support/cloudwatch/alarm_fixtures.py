"""Fixtures: the production stage in service, its template, and the alarms that ring.

After each test, its alarms in `rung.py` must have rung.
"""

from collections.abc import Callable, Iterator

import pytest

from infra_cdk.stages import PROD, Stage
from tests.support.cloudwatch.alarms import Alarm, alarms_of, ringing
from tests.support.cloudwatch.rung import RANG, SILENCE, Hear
from tests.support.cloudwatch.service import Service
from tests.support.templates.assembly import assembled
from tests.support.templates.template import Template


@pytest.fixture
def template() -> Template:
    return assembled().templates[PROD.name]


@pytest.fixture
def alarm(template: Template) -> Callable[[str], Alarm]:
    return alarms_of(template).__getitem__


@pytest.fixture
def service(in_service: Callable[[Stage], Service]) -> Service:
    return in_service(PROD)


@pytest.fixture
def hear(service: Service, template: Template, request: pytest.FixtureRequest) -> Iterator[Hear]:
    """Return a function that lists the alarms that ring now, or `later_s` seconds later."""
    heard = set[str]()

    def listen(later_s: float = 0.0) -> set[str]:
        found = ringing(template, service.metrics, service.now + later_s)
        heard.update(found)
        return found

    yield listen
    assert {alarm for alarm, test in RANG.items() if test == request.node.originalname} <= heard


@pytest.fixture
def rings(service: Service, hear: Hear) -> Callable[[], set[str]]:
    """Return a function that lists this minute's alarms, without those of silence, and starts the next minute."""

    def ring() -> set[str]:
        service.now += 60
        return hear() - SILENCE

    return ring
