"""Tests the sweeper's invariants and phases: their failures and their time limits."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import psycopg
import pytest

from functions.sweeper import handler as sweeper
from functions.sweeper.phases import PHASES, SECONDS
from shared.db.engine import Database
from shared.db.operations.invariants import INVARIANTS
from shared.db.operations.time_limit import GRACE_S
from shared.db.usage.roll_up import roll_up
from shared.domain.message import TurnMessage
from shared.errors import DatabaseUnavailable
from shared.names import Metric
from shared.operations import sweep
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.sweeping import ENDS, Sweep, accept, copies, make_due
from tests.support.sweeping import gauges as gauges  # noqa: PLC0414 a fixture
from tests.support.sweeping import operations as operations  # noqa: PLC0414 a fixture
from tests.support.sweeping import run as run  # noqa: PLC0414 a fixture


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
