"""Tests the reconciler at a lock with every other writer of a call, the ledger or the platform's month."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from shared.db.protocol import DELETE_SESSION, PUBLISH, RECONCILE, RECORD
from shared.domain.money import Usage
from shared.domain.outcome import TurnOutcome
from shared.domain.provider_record import ProviderRecord
from shared.llm.port import Completion, Request
from shared.llm.scripted import ScriptedProvider
from shared.reconciliation.reconcile import Findings, reconcile
from tests.support.council_room import DEADLINE_S, FAST_COST, USAGE, CouncilRoom, answer, unknown, words_left
from tests.support.other_process import OtherProcess
from tests.support.watched_database import WatchedDatabase

ONCE = [("post", "suspense"), ("adjustment", "suspense"), ("adjustment", "platform")]
OTHERWISE = Usage(1, 1)


def lost_call(room: CouncilRoom) -> UUID:
    call_id: UUID = room.row("SELECT call_id FROM llm_calls ORDER BY created_at LIMIT 1")["call_id"]
    return call_id


def lose_a_call(room: CouncilRoom) -> UUID:
    room.provider.enqueue(unknown(), answer("sesame"))
    room.take("@writer hello")
    return lost_call(room)


def record(room: CouncilRoom, db: WatchedDatabase, usage: Usage = USAGE) -> Findings:
    return reconcile(db, [ProviderRecord(lost_call(room), billed=True, usage=usage)])


def entries(room: CouncilRoom) -> list[tuple[str, str]]:
    """Return the ledger's entries of the lost call."""
    rows = room.rows("SELECT kind, account FROM usage_ledger WHERE call_id = %s ORDER BY id", lost_call(room))
    return [(row["kind"], row["account"]) for row in rows]


def spent(room: CouncilRoom) -> Decimal:
    amount: Decimal = room.row("SELECT spent_usd FROM budgets WHERE payer LIKE 'platform:%%'")["spent_usd"]
    return amount


def take_and_come_back_late(room: CouncilRoom, before_it_answers: Callable[[], object]) -> TurnOutcome:
    """Take a turn whose lease ends in its first call. A successor publishes it, and then the call's answer arrives."""

    def come_back_late(_: Request) -> Completion:
        room.expire_lease()
        turn_id = room.row("SELECT id FROM turns")["id"]
        assert room.resume(turn_id, room.runner(db=room.open_database(), provider=ScriptedProvider()))
        before_it_answers()
        return answer("Too late.")

    room.provider.enqueue(come_back_late)
    return room.take("@writer @critic hello")


@pytest.mark.parametrize(("usage", "drifts"), [(USAGE, False), (OTHERWISE, True)], ids=["agrees", "differs"])
def test_a_record_that_waits_for_a_late_outcome_finds_the_call_settled(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase, usage: Usage, drifts: bool
) -> None:
    other.comes_second(RECORD, partial(record, room, ops, usage))
    take_and_come_back_late(room, lambda: None)
    findings = other.result()
    assert (findings.settled, bool(findings.drifted)) == ({}, drifts)
    assert entries(room) == ONCE
    assert spent(room) == FAST_COST


def test_a_late_outcome_that_waits_for_a_record_finds_the_call_settled(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    held = threading.Event()

    def hold() -> None:
        held.set()
        room.wait_until_blocked()

    def start() -> None:
        ops.hold(RECONCILE, hold)
        started.append(other.start(partial(record, room, ops, OTHERWISE)))
        assert held.wait(DEADLINE_S)

    started: list[Future[Any]] = []
    assert not take_and_come_back_late(room, start).published
    assert set(started[0].result(DEADLINE_S).settled) == {lost_call(room)}
    assert entries(room) == ONCE
    assert room.calls("input_tokens, output_tokens")[0] == (1, 1)


@pytest.mark.parametrize(("usage", "drifts"), [(USAGE, False), (OTHERWISE, True)], ids=["agrees", "differs"])
def test_a_record_that_waits_for_another_reconciler_finds_the_call_settled(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase, ops_url: str, usage: Usage, drifts: bool
) -> None:
    lose_a_call(room)
    other.comes_second(RECONCILE, partial(record, room, room.open_database(ops_url), usage), first=ops)
    assert set(record(room, ops).settled) == {lost_call(room)}
    findings = other.result()
    assert (findings.settled, bool(findings.drifted)) == ({}, drifts)
    assert entries(room) == ONCE
    assert spent(room) == FAST_COST


def test_silence_that_waits_for_another_reconcilers_record_finds_the_call_settled(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase, ops_url: str
) -> None:
    """The record arrives after another reconciler has found that the log has none."""
    lose_a_call(room)
    (found,) = (row[0] for row in room.calls("call_id")[1:])
    records = [ProviderRecord(found, billed=True, usage=USAGE)]
    silent = partial(reconcile, room.open_database(ops_url), records, silent_after=timedelta(0))
    other.comes_second(RECONCILE, silent, first=ops)
    record(room, ops)
    assert other.result().settled == {}
    assert entries(room) == ONCE
    assert spent(room) == FAST_COST


def test_a_record_that_is_read_while_its_turn_is_being_published_is_left_for_the_next_time(
    room: CouncilRoom, ops: WatchedDatabase
) -> None:
    """The reconciler does not wait: it leaves the calls of a turn that is not published."""
    findings: list[Findings] = []
    room.db.hold(PUBLISH, lambda: findings.append(record(room, ops)))
    lose_a_call(room)
    assert (findings[0].settled, findings[0].early) == ({}, {lost_call(room)})
    assert room.accounts()["suspense"] > 0
    record(room, ops)
    assert entries(room) == ONCE


def test_a_publish_that_waits_for_a_record_to_make_the_platforms_month_adds_to_it(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    lose_a_call(room)
    other.provider.enqueue(answer(""))
    part = partial(other.take, "@writer hello", session_id=room.make_session())
    other.comes_second(RECONCILE, part, first=ops)
    record(room, ops)
    assert other.result().published
    assert spent(room) == 2 * FAST_COST


def test_a_record_that_waits_for_a_publish_to_make_the_platforms_month_adds_to_it(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    lose_a_call(room)
    room.provider.enqueue(answer(""))
    other.comes_second(PUBLISH, partial(record, room, ops))
    # The lost call is still the first one.
    assert room.take("@writer hello", session_id=room.make_session()).published
    assert set(other.result().settled) == {lost_call(room)}
    assert spent(room) == 2 * FAST_COST


@pytest.mark.parametrize("first", ["record", "publish"])
def test_a_record_and_a_publish_that_meet_at_the_platforms_month_both_count(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase, first: str
) -> None:
    lose_a_call(room)
    for provider in (other.provider, room.provider):
        provider.enqueue(answer(""), answer())
    other.take("@writer hello", session_id=room.make_session())
    later = partial(room.take, "@writer hello", session_id=room.make_session())
    if first == "record":
        other.comes_second(RECONCILE, later, first=ops)
        assert set(record(room, ops).settled) == {lost_call(room)}
        assert other.result().published
    else:
        other.comes_second(PUBLISH, partial(record, room, ops))
        assert later().published
        assert set(other.result().settled) == {lost_call(room)}
    assert spent(room) == 3 * FAST_COST


@pytest.mark.parametrize("first", ["record", "delete"])
def test_record_and_deletion_at_one_call_both_succeed(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase, first: str
) -> None:
    lose_a_call(room)
    if first == "record":
        other.comes_second(RECONCILE, other.delete, first=ops)
        record(room, ops)
        other.result()
    else:
        held: list[Future[Any]] = []

        def start() -> None:
            held.append(other.start(partial(record, room, ops)))
            room.wait_until_blocked()

        other.db.hold(DELETE_SESSION, start, "calls")
        other.delete()
        held[0].result(DEADLINE_S)
    assert entries(room) == ONCE
    assert words_left(room, "sesame") == {}
