"""Tests the sweeper's real handler: its phases, their time limits, and the settings of its connection."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from functions.sweeper import handler as sweeper
from functions.sweeper.phases import PHASES, SECONDS
from local.gateway.worker import LambdaContext
from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.operations.dispatch import _MOVE_ON, record_dispatch
from shared.db.operations.invariants import INVARIANTS
from shared.db.operations.time_limit import GRACE_S, read_within
from shared.db.usage.roll_up import roll_up
from shared.domain.message import TurnMessage
from shared.errors import DatabaseUnavailable
from shared.llm.port import Request
from shared.names import Env, Metric, Role
from shared.operations import sweep
from shared.settings import operations_settings
from tests.support.council_room import CouncilRoom, DatabaseUrls, Killed, words_left
from tests.support.sqs import HOST, MotoQueue

pytest_plugins = ["tests.support.sqs.fixtures"]

EVENT = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-01-02T03:04:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/pantheon-sweeper"],
    "detail": {},
}
SHOWN = [compiled(text(f"SHOW {name}")) for name in ("statement_timeout", "plan_cache_mode", "enable_seqscan")]
# A sweep that waits for a lock must fail its test instead of hanging.
ENDS = "-c idle_in_transaction_session_timeout=10s"
Sweep = Callable[[], dict[str, Any]]


@pytest.fixture
def operations(database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = database_urls.of(Role.OPS)
    db = Database(url)
    monkeypatch.setattr(sweeper, "operations_database", lambda: db)
    monkeypatch.setenv(Env.OPS_DATABASE_URL, url)
    operations_settings.cache_clear()
    yield db
    db.close()
    operations_settings.cache_clear()


@pytest.fixture
def run(room: CouncilRoom, operations: Database, logging_as_it_was: None) -> Sweep:
    return lambda: sweeper.handler(EVENT, LambdaContext("sweeper", "request-1", time.monotonic() + 60))


@pytest.fixture
def gauges(run: Sweep, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, float]]:
    """Sweep, and return every metric of the whole deployment by name."""

    def swept() -> dict[str, float]:
        capsys.readouterr()
        run()
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        lines = [line for line in lines if line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]]
        names = {metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        return {name: line[name][0] for line in lines for name in names if name in line}

    return swept


def accept(room: CouncilRoom, *, due: bool = True) -> UUID:
    """A turn in a session of its own that waits for the worker."""
    outcome = room.take("@writer hello", later=True, session_id=room.make_session())
    if due:
        make_due(room)
    return outcome.turn_id


def make_due(room: CouncilRoom) -> None:
    room.owner.execute("UPDATE turns SET dispatch_after = clock_timestamp() WHERE dispatch_after IS NOT NULL")


@contextmanager
def copies(room: CouncilRoom, turn_id: UUID, number: int) -> Iterator[None]:
    """Add this number of copies of the turn, each in a session of its own and due a millisecond before the last."""
    room.owner.execute(
        """WITH made AS (
            INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, next_turn_index)
            SELECT copy.id, copy.tenant_id, copy.user_id, copy.title, copy.mode, copy.fan_out, copy.agent_keys,
                   copy.next_turn_index
            FROM turns t JOIN sessions s ON s.id = t.session_id,
                generate_series(1, %(number)s) AS n,
                jsonb_populate_record(s, jsonb_build_object('id', md5(s.id::text || n))) AS copy
            WHERE t.id = %(id)s RETURNING id
        )
        INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
                           roster, plan, lease_epoch, lease_expires_at, dispatch_after, created_at)
        SELECT copy.id, copy.tenant_id, copy.session_id, copy.user_id, copy.turn_index, copy.status, copy.fingerprint,
               copy.message, copy.mode, copy.fan_out, copy.roster, copy.plan, copy.lease_epoch, copy.lease_expires_at,
               copy.dispatch_after, copy.created_at
        FROM turns t, (SELECT id, row_number() OVER () AS n FROM made) made,
            jsonb_populate_record(t, jsonb_build_object('id', made.id, 'session_id', made.id,
                'dispatch_after', t.dispatch_after - n * interval '1 ms')) AS copy
        WHERE t.id = %(id)s""",
        {"id": turn_id, "number": number},
    )
    yield
    # The copies hold no money.
    room.owner.execute(
        """WITH gone AS (DELETE FROM turns WHERE id = session_id RETURNING id)
        DELETE FROM sessions USING gone WHERE sessions.id = gone.id"""
    )


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


def test_untouched_sessions_are_deleted_when_retention_days_are_set(
    run: Sweep, room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.take("@writer hello")
    aged = "created_at = created_at - interval '31 days', updated_at = updated_at - interval '31 days'"
    room.owner.execute(f"UPDATE sessions SET {aged}".encode())
    assert run()["deleted"] == 0
    monkeypatch.setenv(Env.RETENTION_DAYS, "30")
    operations_settings.cache_clear()
    assert run()["deleted"] == 1
    assert room.row("SELECT deleted_at IS NOT NULL AS deleted FROM sessions") == {"deleted": True}


class TestGauges:
    def test_gauges_are_zero_without_turns(self, gauges: Callable[[], dict[str, float]]) -> None:
        assert gauges() == {
            Metric.ACTIVE_TURNS: 0,
            Metric.DUE_TURNS: 0,
            Metric.OLDEST_ACTIVE_TURN: 0,
            Metric.MONTH_FORECAST_USD: 0,
            Metric.HOUR_USD: 0,
            Metric.USUAL_HOUR_USD: 0,
            Metric.SUSPENSE_USD: 0,
            Metric.LEDGER_DRIFT_USD: 0,
            Metric.BROKEN_INVARIANTS: 0,
            Metric.UNCHECKED_INVARIANTS: 0,
        }

    def test_gauges_count_turns_that_have_not_ended(
        self, gauges: Callable[[], dict[str, float]], room: CouncilRoom
    ) -> None:
        room.take("@writer hello")
        room.owner.execute("UPDATE turns SET created_at = created_at - interval '9 days'")
        accept(room)
        accept(room, due=False)
        room.owner.execute(
            "UPDATE turns SET created_at = created_at - interval '1 hour' WHERE dispatch_after <= clock_timestamp()"
        )
        found = gauges()
        assert (found[Metric.ACTIVE_TURNS], found[Metric.DUE_TURNS]) == (2, 1)
        assert 3600 <= found[Metric.OLDEST_ACTIVE_TURN] < 3660


class TestInvariants:
    @pytest.fixture
    def broken(self, room: CouncilRoom) -> Iterator[None]:
        """A ledger that lacks a post, until the test ends."""
        room.provider.enqueue("sesame")
        room.take("@writer hello")
        rows = room.rows("DELETE FROM usage_ledger RETURNING to_jsonb(usage_ledger) AS row")
        yield
        restore = """INSERT INTO usage_ledger OVERRIDING SYSTEM VALUE
            SELECT * FROM jsonb_populate_record(null::usage_ledger, %s)"""
        for deleted in rows:
            room.owner.execute(restore, (json.dumps(deleted["row"]),))

    @pytest.mark.usefixtures("broken")
    def test_broken_invariant_is_counted_and_named(
        self, gauges: Callable[[], dict[str, float]], run: Sweep, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = gauges()[Metric.BROKEN_INVARIANTS]
        logging.getLogger("shared.operations").addHandler(caplog.handler)
        named = run()["broken"]
        logging.getLogger("shared.operations").removeHandler(caplog.handler)
        assert "a call has exactly one post once its turn has ended, and none before" in named
        assert len(named) == found
        logged = [vars(record)["invariant"] for record in caplog.records if record.message == "invariant broken"]
        assert logged == named

    @pytest.mark.usefixtures("broken")
    def test_an_old_turn_is_left_to_the_doctor(
        self, run: Sweep, room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert room.rows(INVARIANTS["a call has exactly one post once its turn has ended, and none before"])
        monkeypatch.setattr(sweep, "_DAY_S", -60)
        # The sums of a month are always checked completely.
        assert run()["broken"] == ["spent is the sum of the payer's posts and adjustments"]

    def test_invariant_that_exceeds_its_time_is_counted_as_unchecked(
        self,
        gauges: Callable[[], dict[str, float]],
        run: Sweep,
        database_urls: DatabaseUrls,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The other queries need this time on a busy machine.
        monkeypatch.setattr(sweep, "_INVARIANT_S", 0.2)
        for phase in ("platform", "month"):
            monkeypatch.setitem(SECONDS, phase, 0.05)
        with psycopg.connect(database_urls.owner, options=ENDS) as busy:
            busy.execute("LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE")
            found, swept = gauges(), run()
        assert (found[Metric.BROKEN_INVARIANTS], found[Metric.UNCHECKED_INVARIANTS]) == (0, 2)
        assert swept["unchecked"] == [name for name in INVARIANTS if name.startswith(("held is", "spent is"))]
        # The limit applied to those queries only, and the connection works as before.
        assert gauges()[Metric.UNCHECKED_INVARIANTS] == 0

    def test_invariants_end_when_their_time_is_over(self, run: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SECONDS, "invariants", 0.0)
        assert run()["unchecked"] == list(INVARIANTS)


class TestPhases:
    """The invariants are checked even if earlier phases fail or use up their time."""

    def test_failed_phase_is_reported_and_the_others_run(
        self, run: Sweep, gauges: Callable[[], dict[str, float]], room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise KeyError

        accept(room)
        for phase in PHASES:
            others = [replace(each, run=fail) if each is phase else each for each in PHASES]
            monkeypatch.setattr(sweeper, "PHASES", others)
            make_due(room)
            swept = run()
            assert (swept["failed"], swept["unchecked"]) == ([phase.name], [])
            assert swept["dispatched"] == (0 if phase.name == "dispatch" else 1)
        assert gauges()[Metric.UNCHECKED_INVARIANTS] == 0

    def test_phase_ends_at_its_deadline_and_leaves_time_for_the_invariants(
        self, run: Sweep, room: CouncilRoom, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every table of a phase is locked, so that each waits until its own limit ends it."""
        for phase in PHASES:
            monkeypatch.setitem(SECONDS, phase.name, SECONDS[phase.name] / 10)
        monkeypatch.setattr(sweep, "REQUEST_S", sweep.REQUEST_S / 10)
        monkeypatch.setattr(sweep, "_INVARIANT_S", 0.1)
        room.take("@writer hello")
        with psycopg.connect(database_urls.owner, options=ENDS) as busy:
            busy.execute(
                "LOCK TABLE turns, budgets, budget_holds, usage_ledger, usage_rolled_up, sessions, api_keys"
                " IN ACCESS EXCLUSIVE MODE"
            )
            started = time.monotonic()
            swept = run()
            took_s = time.monotonic() - started
        assert swept["failed"] == [phase.name for phase in PHASES]
        assert took_s < sum(SECONDS.values()) + len(SECONDS) * GRACE_S
        # These run last and read no locked table.
        last = {"there is no large object", "a role has the settings that a migration gave it"}
        assert not last & set(swept["unchecked"])

    def test_invariants_that_cannot_be_checked_at_all_are_unchecked(
        self, gauges: Callable[[], dict[str, float]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise KeyError

        monkeypatch.setattr(sweeper, "check_invariants", fail)
        assert gauges()[Metric.UNCHECKED_INVARIANTS] == len(INVARIANTS)

    def test_an_hour_gets_the_seconds_of_its_phase(
        self, ops: Database, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The statements' limit ends it even if the timeout for locks is longer."""

        def patient(db: Database, hours: int, *, seconds: float, **_: float) -> object:
            return roll_up(db, hours, patience_s=60.0, seconds=seconds)

        monkeypatch.setattr(sweep, "roll_up", patient)
        with psycopg.connect(database_urls.owner, options=ENDS) as busy:
            busy.execute("LOCK TABLE usage_rolled_up IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                sweep.roll_up_due(ops, 1, 0.3)
            assert time.monotonic() - started < 5

    def test_messages_that_are_slow_to_send_end_the_phase_in_time(self, room: CouncilRoom, ops: Database) -> None:
        accept(room)
        sent: list[int] = []

        def slow(messages: Sequence[TurnMessage]) -> bool:
            sent.append(len(messages))
            time.sleep(0.2)
            return True

        with copies(room, room.row("SELECT id FROM turns")["id"], 60):
            assert sweep.dispatch_due(ops, slow, sweep.REQUEST_S + 0.3) == 61
        assert sent == [10, 10]


def test_query_sets_a_limit_and_a_custom_plan_and_resets_both(
    operations: Database,
) -> None:
    show = [(statement, dict[str, object]()) for statement in SHOWN]

    def values(rows: list[list[Row]]) -> list[object]:
        return [value for (row,) in rows for value in row.values()]

    assert values(read_within(operations, 1.5, *show)) == ["1500ms", "force_custom_plan", "off"]
    assert values(operations.read_all(None, *show)) == ["0", "auto", "on"]


def test_log_has_no_text_of_a_turn(run: Sweep, room: CouncilRoom, capsys: pytest.CaptureFixture[str]) -> None:
    room.provider.enqueue("sesame")
    room.take("@writer sesame")
    run()
    assert words_left(room, "sesame")
    assert "sesame" not in capsys.readouterr().out
