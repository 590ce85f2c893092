"""Draw the production stage's dashboards into docs/dashboards from turns of the real handlers: `make dashboards`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra_cdk.stages import PROD, Stage
from tests.support.cloudwatch import day
from tests.support.cloudwatch.boards import Board, boards_of
from tests.support.cloudwatch.drawing import draw
from tests.support.cloudwatch.service import Service
from tests.support.council_room import CouncilRoom
from tests.support.templates.assembly import assembled

pytest_plugins = ["tests.support.sqs.fixtures", "tests.support.cloudwatch.fixtures"]
PICTURES = Path(__file__).parents[2] / "docs" / "dashboards"
DAYS, HOUR_S = 7, 3600
# Only AWS measures these. The units are bytes, per cent, seconds and numbers.
AWS = {
    "DatabaseConnections": 9.0,
    "CPUUtilization": 12.0,
    "FreeStorageSpace": 93e9,
    "DatabaseConnectionsCurrentlySessionPinned": 0.0,
    "ApproximateAgeOfOldestMessage": 2.0,
    "ApproximateNumberOfMessagesVisible": 0.0,
}


def test_draw(in_service: Callable[[Stage], Service], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = boards_of(assembled().templates[PROD.name])
    service = in_service(PROD)
    room.limit("25", "platform")
    other = CouncilRoom(room.owner, room.app_url, "globex", room.provider)
    end = service.now
    with other.databases:
        for hour in range(DAYS * 24):
            service.now = end + (hour - DAYS * 24) * HOUR_S
            service.room = other if hour % 3 == 0 else room
            live_an_hour(service, hour)
            measure_as_aws(service, boards)
    service.room = room
    service.now = end - HOUR_S / 2
    day.outages(service, monkeypatch)
    PICTURES.mkdir(exist_ok=True)
    for board in boards:
        draw(board, service.metrics, end, PICTURES / f"{board.kind}.svg")


def live_an_hour(service: Service, hour: int) -> None:
    """Take turns in every mode by day, and a few by night. A failure occurs once in seven hours."""
    for _ in range(2 if 8 <= hour % 24 < 18 else 1):
        day.modes(service)
    if hour % 7 == 0:
        day.faults(service)
        day.wait_conflict_and_cancel(service)
    service.sweep()
    if hour % 3 == 0:
        service.reconcile()


def measure_as_aws(service: Service, boards: list[Board]) -> None:
    for named in {named for board in boards for widget in board.widgets for named, _ in widget.metrics()}:
        if named.namespace in ("AWS/RDS", "AWS/SQS"):
            service.metrics.put(named, service.now, AWS[named.name])
