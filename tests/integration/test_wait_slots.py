"""Tests a tenant's eight slots for waits. A wait is a lease, holds nothing while it sleeps, and never fails a
request.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.api import history, waiting
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.wait_slots import _END, _TAKE, SLOTS, wait_slot
from shared.db.engine import Database
from shared.errors import DatabaseUnavailable
from shared.names import API_PREFIX
from tests.support.council_room import CouncilRoom
from tests.support.gateway import body_of, request

AT_ONCE = 30
_TAKEN = "SELECT tenant_id, slot FROM waits WHERE ends_at > clock_timestamp() ORDER BY tenant_id, slot"
_IN_TRANSACTION = """SELECT count(*) AS open FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""


@pytest.fixture
def held(room: CouncilRoom) -> Iterator[Callable[..., bool]]:
    """Take a slot until the test ends, and return whether there was one."""
    with ExitStack() as until_the_end:
        yield lambda tenant_id="tenant-1": until_the_end.enter_context(wait_slot(room.db, tenant_id))


def taken(room: CouncilRoom) -> list[tuple[str, int]]:
    return [(row["tenant_id"], row["slot"]) for row in room.rows(_TAKEN)]


class TestSlots:
    def test_eight_of_thirty_waits_at_once_get_a_slot(self, room: CouncilRoom) -> None:
        databases = [room.open_database() for _ in range(AT_ONCE)]
        for db in databases:
            db.read_all("tenant-1")
        start, end = Barrier(AT_ONCE), Barrier(AT_ONCE)

        def wait(db: Database) -> bool:
            start.wait()
            with wait_slot(db, "tenant-1") as waits:
                end.wait()
                return waits

        with ThreadPoolExecutor(AT_ONCE) as threads:
            assert sum(threads.map(wait, databases)) == SLOTS == 8
        # Each slot is free again, and the tenant has no more rows than slots.
        assert taken(room) == []
        assert room.row("SELECT count(*) AS rows FROM waits") == {"rows": SLOTS}

    def test_another_tenant_has_slots_of_its_own(self, room: CouncilRoom, held: Callable[..., bool]) -> None:
        assert [held() for _ in range(SLOTS + 1)] == [True] * SLOTS + [False]
        assert [held("tenant-2") for _ in range(SLOTS + 1)] == [True] * SLOTS + [False]
        slots = range(1, SLOTS + 1)
        assert taken(room) == [(tenant, slot) for tenant in ("tenant-1", "tenant-2") for slot in slots]

    def test_a_slot_is_taken_again_when_its_lease_lapsed(self, room: CouncilRoom, held: Callable[..., bool]) -> None:
        assert all(held() for _ in range(SLOTS))
        leases = "SELECT bool_and(ends_at <= clock_timestamp() + interval '25 s') AS bounded FROM waits"
        assert room.row(leases) == {"bounded": True}
        room.owner.execute("UPDATE waits SET ends_at = clock_timestamp() WHERE slot = 3")
        assert [held(), held()] == [True, False]
        assert len(taken(room)) == SLOTS

    def test_a_wait_that_lapsed_does_not_free_the_slot_of_its_successor(self, room: CouncilRoom) -> None:
        with ExitStack() as successors:
            with wait_slot(room.db, "tenant-1"):
                room.owner.execute("UPDATE waits SET ends_at = clock_timestamp()")
                successors.enter_context(wait_slot(room.db, "tenant-1"))
            assert taken(room) == [("tenant-1", 1)]
        assert taken(room) == []

    def test_taking_a_slot_does_not_wait_for_a_locked_one(self, room: CouncilRoom, held: Callable[..., bool]) -> None:
        held()
        room.owner.execute("UPDATE waits SET ends_at = clock_timestamp()")
        with psycopg.connect(room.owner_url) as somebody:
            somebody.execute("SELECT FROM waits WHERE slot = 1 FOR UPDATE")
            assert held()
        assert taken(room) == [("tenant-1", 2)]


class Clock:
    """The time of `functions.api.waiting`: sleeping takes none."""

    def __init__(self, asleep: Callable[[], object]) -> None:
        self.now, self.sleeps, self._asleep = 0.0, 0, asleep

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._asleep()
        self.now += seconds
        self.sleeps += 1


@pytest.fixture
def asleep() -> list[object]:
    """The observations at each sleep of a wait."""
    return []


@pytest.fixture
def clock(room: CouncilRoom, asleep: list[object], monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(lambda: asleep.append((room.row(_IN_TRANSACTION)["open"], len(taken(room)))))
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def read(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Callable[..., dict[str, Any]]:
    """GET /turns/{id}, with a query."""
    for module in (history, waiting):
        monkeypatch.setattr(module, "database", lambda: room.db)
    app = create_app("Pantheon")
    app.include_router(history.router)
    app.dependency_overrides[caller] = lambda: Caller("user-1", room.tenant_id, None, ("member",))
    handler = lambda_handler(app)

    def asked(turn_id: UUID, query: str) -> dict[str, Any]:
        path = f"{API_PREFIX}/turns/{turn_id}"
        answer = handler(request("GET", path, query=query), LambdaContext("api", "invocation", time.monotonic() + 60))
        assert answer["statusCode"] == 200, answer["body"]
        return body_of(answer)

    return asked


class TestRequest:
    def test_a_wait_reads_its_turn_forty_times_at_most_and_has_no_transaction_open(
        self, room: CouncilRoom, clock: Clock, asleep: list[object], read: Callable[..., dict[str, Any]]
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        assert read(turn_id, "wait=20")["status"] == "accepted"
        assert clock.now == pytest.approx(20)
        assert clock.sleeps <= 40
        assert asleep == [(0, 1)] * clock.sleeps
        assert taken(room) == []

    def test_a_wait_ends_when_its_turn_has_ended(
        self, room: CouncilRoom, read: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        clock = Clock(lambda: room.resume(turn_id))
        monkeypatch.setattr(waiting, "time", clock)
        assert read(turn_id, "wait=20")["status"] == "completed"
        assert clock.sleeps == 1

    def test_a_ninth_wait_answers_at_once(
        self, room: CouncilRoom, clock: Clock, held: Callable[..., bool], read: Callable[..., dict[str, Any]]
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        assert all(held() for _ in range(SLOTS))
        assert read(turn_id, "wait=20")["status"] == "accepted"
        assert clock.sleeps == 0

    @pytest.mark.parametrize("query", ["", "wait=0", "wait=20&after=0"])
    def test_a_request_that_need_not_wait_takes_no_slot(
        self, room: CouncilRoom, clock: Clock, read: Callable[..., dict[str, Any]], query: str
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        if "after" in query:
            room.resume(turn_id)
        read(turn_id, query)
        assert (clock.sleeps, room.rows("SELECT slot FROM waits")) == (0, [])

    @pytest.mark.parametrize("error", [DatabaseUnavailable, psycopg.errors.InsufficientPrivilege])
    def test_a_database_error_while_taking_a_slot_answers_at_once(
        self, room: CouncilRoom, clock: Clock, read: Callable[..., dict[str, Any]], error: type[Exception]
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id

        def fail() -> None:
            raise error

        room.db.before(_TAKE, fail)
        assert read(turn_id, "wait=20")["status"] == "accepted"
        assert clock.sleeps == 0

    def test_a_slot_whose_answer_was_lost_lapses_by_itself(
        self, room: CouncilRoom, clock: Clock, read: Callable[..., dict[str, Any]]
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        room.db.lose_answer(_TAKE)
        assert read(turn_id, "wait=20")["status"] == "accepted"
        assert (clock.sleeps, taken(room)) == (0, [("tenant-1", 1)])

    def test_a_database_error_while_ending_a_wait_does_not_fail_the_request(
        self, room: CouncilRoom, clock: Clock, read: Callable[..., dict[str, Any]]
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        room.db.lose_answer(_END)
        assert read(turn_id, "wait=1")["status"] == "accepted"
        assert clock.sleeps > 0
