"""Draw the production stage's dashboards from a week of its service into docs/dashboards: `make dashboards`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra_cdk.stages import PROD, Stage
from tests.support.cloudwatch.boards import boards_of
from tests.support.cloudwatch.drawing import draw
from tests.support.cloudwatch.insights import Line
from tests.support.cloudwatch.service import Service
from tests.support.cloudwatch.week import DAYS, HOUR_S, TENANTS, Week
from tests.support.council_room import CouncilRoom
from tests.support.templates.assembly import assembled

pytest_plugins = ["tests.support.sqs.fixtures", "tests.support.cloudwatch.fixtures"]
PICTURES = Path(__file__).parents[2] / "docs" / "dashboards"


def test_draw(in_service: Callable[[Stage], Service], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = boards_of(assembled().templates[PROD.name])
    watched = sorted({named for board in boards for widget in board.widgets for named, _ in widget.metrics()})
    service = in_service(PROD)
    room.limit("25", "platform")
    rooms = [CouncilRoom(room.owner, room.app_url, tenant, room.provider) for tenant in TENANTS]
    end = service.now
    Week(service, rooms, watched, monkeypatch, end - DAYS * 24 * HOUR_S).live()
    PICTURES.mkdir(exist_ok=True)
    for board in boards:
        draw(board, service.metrics, logged(service), end, PICTURES / f"{board.kind}.svg")
    for one in rooms:
        one.databases.close()


def logged(service: Service) -> list[Line]:
    """What Logs Insights finds: our own lines, and what Lambda reports of an invocation."""
    own: list[Line] = [{**line, "@log": group(name), "@timestamp": moment} for name, moment, line in service.lines]
    return own + [
        {"@log": group(name), "@timestamp": moment, "@type": "REPORT", "@message": report}
        for name, moment, report in service.reports
    ]


def group(name: str) -> str:
    return f"/aws/lambda/pantheon-{PROD.name}-{name}"
