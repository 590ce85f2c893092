"""Tests a budget that many processes use at once: never beyond its limit, and nothing is lost when all are killed."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from shared.db.engine import Row
from shared.names import Env
from shared.settings import budget_settings, settings
from tests.support.council_room import DEADLINE_S, CouncilRoom
from tests.support.crowd import MESSAGE

PROCESSES = 64
ROOM_FOR = 10


@pytest.fixture(autouse=True)
def any_number(scripted_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the limit on a tenant's active turns."""
    monkeypatch.setenv(Env.TENANT_ACTIVE_TURNS, "0")
    settings.cache_clear()


@contextmanager
def crowd(room: CouncilRoom) -> Iterator["subprocess.Popen[bytes]"]:
    sessions = [str(room.make_session()) for _ in range(PROCESSES)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=dict(os.environ),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps([room.tenant_id, sessions]).encode())
        process.stdin.close()
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def month(room: CouncilRoom) -> Row:
    sums = "coalesce(sum(held_usd), 0) AS held, coalesce(sum(spent_usd), 0) AS spent"
    return room.row(f"SELECT {sums} FROM budgets")


def sample_until_all_have_met_the_budget(
    room: CouncilRoom, process: "subprocess.Popen[bytes]", limit: Decimal
) -> Counter[bytes]:
    """Sample the budget until every process has reported its turn's result."""
    assert process.stdout is not None
    said, samples, deadline = b"", 0, time.monotonic() + DEADLINE_S
    while said.count(b"\n") < PROCESSES:
        assert time.monotonic() < deadline, said
        now = month(room)
        samples += 1
        assert now["held"] + now["spent"] <= limit, f"at sample {samples}"
        if select.select([process.stdout], [], [], 0)[0]:
            said += os.read(process.stdout.fileno(), 1 << 16)
    assert samples > PROCESSES
    return Counter(said.split())


def test_sixty_four_processes_share_room_for_ten_and_leave_nothing_held_when_they_are_killed(
    room: CouncilRoom,
) -> None:
    room.take(MESSAGE)
    reserves = [reserve for (reserve,) in room.calls("reserve_usd")]
    limit = month(room)["spent"] + ROOM_FOR * sum(reserves)
    room.limit(limit)
    with crowd(room) as process:
        said = sample_until_all_have_met_the_budget(room, process, limit)
        assert sum(said.values()) == PROCESSES
        assert 0 < said[b"asked"] <= ROOM_FOR
        assert said[b"refused"] > 0
        assert month(room)["held"] > 0
    for now in months_until_recovered(room):
        assert now["held"] + now["spent"] <= limit
    nothing_is_left(room)


def test_sixty_four_processes_under_the_default_cap_hold_and_leave_nothing_held_when_they_are_killed(
    room: CouncilRoom,
) -> None:
    room.take(MESSAGE)
    with crowd(room) as process:
        said = sample_until_all_have_met_the_budget(room, process, budget_settings().default_cap_usd)
        assert said == {b"asked": PROCESSES}
    assert len(list(months_until_recovered(room))) == PROCESSES
    nothing_is_left(room)


def months_until_recovered(room: CouncilRoom) -> Iterator[Row]:
    """End each turn, and sample the month after it."""
    # By now each statement of a dead process is committed, or never will be.
    room.cut_connections()
    room.expire_lease()
    for turn in room.rows("SELECT id FROM turns WHERE status = 'running'"):
        assert room.resume(turn["id"]) is not None
        yield month(room)


def nothing_is_left(room: CouncilRoom) -> None:
    posted = room.row("SELECT sum(amount_usd) AS usd FROM usage_ledger WHERE account = 'tenant'")["usd"]
    assert room.budget(f"tenant:{room.tenant_id}") == {"held_usd": 0, "spent_usd": posted}
    assert room.rows("SELECT id FROM turns WHERE status IN ('accepted', 'running')") == []
