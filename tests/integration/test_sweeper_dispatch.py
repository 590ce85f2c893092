"""Tests that the sweeper sends each waiting turn once, in order, and as often as needed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import psycopg
import pytest

from shared.db.engine import Database
from shared.db.operations.dispatch import _MOVE_ON, record_dispatch
from shared.domain.message import TurnMessage
from shared.llm.port import Request
from shared.names import Metric
from shared.operations import sweep
from tests.support.council_room import CouncilRoom, DatabaseUrls, Killed
from tests.support.sqs import HOST, MotoQueue
from tests.support.sweeping import ENDS, Sweep, accept, copies, make_due
from tests.support.sweeping import gauges as gauges  # noqa: PLC0414 a fixture
from tests.support.sweeping import operations as operations  # noqa: PLC0414 a fixture
from tests.support.sweeping import run as run  # noqa: PLC0414 a fixture

pytest_plugins = ["tests.support.sqs.fixtures"]


def received(queue: MotoQueue) -> list[TurnMessage]:
    return [TurnMessage.from_json(letter["Body"]) for letter in queue.receive()]


class TestDispatch:
    def test_due_turn_is_sent_and_not_again_within_a_minute(
        self, run: Sweep, room: CouncilRoom, deployed: MotoQueue
    ) -> None:
        turn_id = accept(room)
        assert run()["dispatched"] == 1
        assert received(deployed) == [TurnMessage(turn_id, room.tenant_id)]
        assert run()["dispatched"] == 0
        assert received(deployed) == []

    def test_the_turn_of_a_graph_is_sent_to_the_queue_of_graphs(
        self, run: Sweep, room: CouncilRoom, deployed: MotoQueue, of_graphs: MotoQueue
    ) -> None:
        graph, plain = accept(room), accept(room)
        room.owner.execute("UPDATE turns SET mode = 'graph:review' WHERE id = %s", [graph])
        assert run()["dispatched"] == 2
        assert received(of_graphs) == [TurnMessage(graph, room.tenant_id, is_graph=True)]
        assert received(deployed) == [TurnMessage(plain, room.tenant_id)]

    def test_turn_that_is_not_due_is_not_sent(self, run: Sweep, room: CouncilRoom, deployed: MotoQueue) -> None:
        accept(room, due=False)
        assert run()["dispatched"] == 0
        assert received(deployed) == []

    def test_a_turn_whose_process_died_is_sent_when_its_lease_is_over_and_the_worker_ends_it(
        self, run: Sweep, room: CouncilRoom, deployed: MotoQueue, worker: Callable[[UUID], bool]
    ) -> None:
        def die(_: Request) -> str:
            # A running turn is not sent.
            assert run()["dispatched"] == 0
            raise Killed

        room.provider.enqueue(die, "Roses.")
        turn_id = room.take_until_killed("@writer hello")
        make_due(room)
        assert run()["dispatched"] == 1
        assert received(deployed) == [TurnMessage(turn_id, room.tenant_id)]
        assert not worker(turn_id)
        assert room.row("SELECT status FROM turns") == {"status": "completed"}
        assert run()["dispatched"] == 0

    def test_the_turns_of_every_tenant_are_sent(self, run: Sweep, room: CouncilRoom, deployed: MotoQueue) -> None:
        mine = accept(room)
        other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
        with other.databases:
            theirs = accept(other)
            run()
        assert set(received(deployed)) == {TurnMessage(mine, "tenant-1"), TurnMessage(theirs, "tenant-2")}

    def test_more_than_a_batch_is_sent_in_several(
        self, run: Sweep, room: CouncilRoom, deployed: MotoQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweep, "_BATCH", 2)
        turns = {accept(room) for _ in range(5)}
        assert run()["dispatched"] == 5
        assert {message.turn_id for message in received(deployed)} == turns

    def test_turn_that_is_being_claimed_is_skipped_without_a_wait(
        self, run: Sweep, room: CouncilRoom, database_urls: DatabaseUrls, deployed: MotoQueue
    ) -> None:
        claimed, other = accept(room), accept(room)
        with psycopg.connect(database_urls.owner, options=ENDS) as claimer:
            claimer.execute("SELECT FROM turns WHERE id = %s FOR UPDATE", (claimed,))
            assert run()["dispatched"] == 1
        assert received(deployed) == [TurnMessage(other, room.tenant_id)]

    def test_turn_with_a_key_share_lock_is_sent(
        self, run: Sweep, room: CouncilRoom, database_urls: DatabaseUrls, deployed: MotoQueue
    ) -> None:
        turn_id = accept(room)
        with psycopg.connect(database_urls.owner, options=ENDS) as other:
            other.execute("SELECT FROM turns WHERE id = %s FOR KEY SHARE", (turn_id,))
            assert run()["dispatched"] == 1
        assert received(deployed) == [TurnMessage(turn_id, room.tenant_id)]

    def test_an_old_turn_is_sent_more_rarely(self, run: Sweep, room: CouncilRoom) -> None:
        accept(room)
        moved = """SELECT dispatch_after BETWEEN %s + make_interval(secs => %s)
            AND clock_timestamp() + make_interval(secs => %s + 0.5) AS moved FROM turns"""
        for age, again_s in (("0 s", 60), ("10 minutes", 60), ("100 minutes", 600), ("9 days", 900)):
            room.owner.execute("UPDATE turns SET created_at = clock_timestamp() - %s::interval", (age,))
            make_due(room)
            since = room.row("SELECT clock_timestamp() AS now")["now"]
            run()
            assert room.row(moved, since, again_s, again_s) == {"moved": True}, age

    def test_most_overdue_turn_is_sent_first(self, room: CouncilRoom, ops: Database) -> None:
        turns = [accept(room) for _ in range(3)]
        for turn_id, minutes in zip(turns, (1, 3, 2), strict=True):
            overdue = "UPDATE turns SET dispatch_after = clock_timestamp() - make_interval(mins => %s) WHERE id = %s"
            room.owner.execute(overdue, (minutes, turn_id))
        moved = [message.turn_id for _ in turns for message in record_dispatch(ops, 1)]
        assert moved == [turns[1], turns[2], turns[0]]

    def test_tenants_alternate_however_many_turns_of_one_are_due(self, room: CouncilRoom, ops: Database) -> None:
        other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
        with other.databases:
            mine, theirs = accept(room), accept(other)
        with copies(room, mine, 1000):
            order = "UPDATE turns SET dispatch_after = dispatch_after - make_interval(secs => %s) WHERE tenant_id = %s"
            room.owner.execute(order, (60, "tenant-1"))
            most_overdue = room.row("SELECT id FROM turns ORDER BY dispatch_after LIMIT 1")["id"]
            assert set(record_dispatch(ops, 2)) == {
                TurnMessage(most_overdue, "tenant-1"),
                TurnMessage(theirs, "tenant-2"),
            }

    def test_turn_is_sent_once_by_four_sweepers_at_once(self, room: CouncilRoom, ops_url: str) -> None:
        sweepers = [room.open_database(ops_url) for _ in range(4)]
        start = Barrier(len(sweepers))

        def sweep_all(db: Database) -> list[UUID]:
            start.wait()
            found: list[UUID] = []
            while batch := record_dispatch(db, 50):
                found += [message.turn_id for message in batch]
            return found

        with copies(room, accept(room), 2000), ThreadPoolExecutor(len(sweepers)) as threads:
            moved = [turn_id for found in threads.map(sweep_all, sweepers) for turn_id in found]
        assert len(moved) == len(set(moved)) == 2001

    def test_turns_that_have_ended_are_not_read(self, room: CouncilRoom, ops_url: str) -> None:
        room.take("@writer hello")
        columns = "tenant_id, session_id, user_id, status, fingerprint, message, mode, fan_out, roster, lease_epoch"
        room.owner.execute(
            f"""INSERT INTO turns (id, turn_index, completed_at, {columns})
            SELECT gen_random_uuid(), g, completed_at, {columns} FROM turns, generate_series(2, 2000) g""".encode()
        )
        room.owner.execute("UPDATE sessions SET next_turn_index = 2001")
        room.owner.execute("ANALYZE turns")
        accept(room)
        with psycopg.connect(ops_url) as connection:
            ((query, values),) = _MOVE_ON.sent({"b_limit": 10})
            moved = psycopg.RawCursor(connection).execute(query.encode(), values)
            assert len(moved.fetchall()) == 1
            read = connection.execute("SELECT pg_stat_get_xact_tuples_returned('turns'::regclass)").fetchone()
        assert read == (0,)

    @pytest.mark.usefixtures("deployed")
    def test_turn_is_counted_and_due_again_when_its_queue_is_missing(
        self, gauges: Callable[[], dict[str, float]], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://{HOST}:1")
        monkeypatch.setattr(sweep, "_BATCH", 1)
        accept(room), accept(room)
        # The second turn is left as it is, because it would fail as well.
        assert gauges()[Metric.UNSENT_TURNS] == 1
        due = "SELECT count(*) FILTER (WHERE dispatch_after <= clock_timestamp()) AS due, count(*) AS active FROM turns"
        assert room.row(due) == {"due": 1, "active": 2}

    def test_turn_without_a_queue_is_only_moved_to_its_next_time(self, run: Sweep, room: CouncilRoom) -> None:
        accept(room)
        assert [run()["dispatched"], run()["dispatched"]] == [1, 0]
