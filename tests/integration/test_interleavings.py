"""Tests two connections at one turn, one of them stopped with its locks held: the one that waits sees the other's
changes.
"""

import threading
from concurrent.futures import Future
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest

from shared.db.engine import Params, Row, Statement
from shared.db.protocol import ACCEPT, CLAIM, OPEN, PUBLISH, RECORD, RELEASE
from shared.errors import DatabaseUnavailable, IdempotencyKeyReused, JournalUnavailable, TurnConflict
from shared.llm.port import Completion, Request
from tests.support.council_room import AMPLE_S, DEADLINE_S, FAST_COST, USAGE, CouncilRoom, answer, body, names
from tests.support.other_process import OtherProcess

MESSAGE = "@writer @critic sesame"
ANSWERED = [("writer", "completed", None), ("critic", "completed", None)]


def expire(room: CouncilRoom, _: Request) -> Completion:
    room.expire_lease()
    return answer("sesame")


@pytest.mark.parametrize("statement", [OPEN, PUBLISH], ids=["ask", "publish"])
def test_claim_that_waits_for_the_runner_fails(room: CouncilRoom, other: OtherProcess, statement: Statement) -> None:
    script: dict[Statement, list[Any]] = {
        OPEN: [partial(expire, room), other.is_waited_for],
        PUBLISH: [answer("sesame"), partial(expire, room)],
    }
    room.provider.enqueue(*script[statement])
    other.comes_second(statement, other.resume)
    assert names(body(room.take(MESSAGE))["replies"]) == ANSWERED
    assert other.result() is None
    assert (len(room.provider.requests), other.provider.requests) == (2, [])
    assert room.row("SELECT lease_epoch FROM turns") == {"lease_epoch": 1}


@pytest.mark.parametrize("message", [MESSAGE, "@writer sesame"], ids=["ask", "publish"])
@pytest.mark.parametrize("as_far_as", ["locked", "claimed", None], ids=["locked", "claimed", "lost"])
def test_a_runner_that_waits_for_a_claim_has_lost_the_turn(
    room: CouncilRoom, other: OtherProcess, message: str, as_far_as: str | None
) -> None:
    room.provider.enqueue(other.comes_first(CLAIM, other.resume, as_far_as))
    assert not room.take(message).published
    turn = body(other.result())
    assert other.late.text not in turn["output"]
    assert len(room.provider.requests) == 1
    assert room.calls("attempt, status, verdict, cost_usd")[0] == (1, "succeeded", None, FAST_COST)
    assert room.row("SELECT status, lease_epoch FROM turns") == {"status": "completed", "lease_epoch": 2}


@pytest.mark.parametrize("as_far_as", ["locked", "claimed", None], ids=["locked", "claimed", "lost"])
def test_outcome_that_is_sent_alone_and_waits_for_a_claim_gives_no_verdict(
    room: CouncilRoom, other: OtherProcess, as_far_as: str | None
) -> None:
    def fail() -> None:
        raise DatabaseUnavailable

    room.db.before(OPEN, fail)
    room.provider.enqueue(other.comes_first(CLAIM, other.resume, as_far_as))
    with pytest.raises(JournalUnavailable):
        room.take(MESSAGE)
    assert other.late.text not in body(other.result())["output"]
    assert room.calls("attempt, status, verdict, cost_usd")[0] == (1, "succeeded", None, FAST_COST)


def test_a_claim_that_waits_for_a_release_goes_on_with_the_turn(room: CouncilRoom, other: OtherProcess) -> None:
    left = iter([AMPLE_S])
    room.provider.enqueue(partial(expire, room))
    other.comes_second(RELEASE, other.resume)
    room.take(MESSAGE, runner=room.runner(seconds_left=lambda: next(left, 0.0)))
    assert names(body(other.result())["replies"]) == ANSWERED
    assert (len(room.provider.requests), len(other.provider.requests)) == (1, 1)


@pytest.mark.parametrize("as_far_as", ["locked", "claimed", None], ids=["locked", "claimed", "lost"])
def test_a_release_that_waits_for_a_claim_gives_nothing_back(
    room: CouncilRoom, other: OtherProcess, as_far_as: str | None
) -> None:
    left = iter([AMPLE_S])
    room.provider.enqueue(other.comes_first(CLAIM, other.resume, as_far_as))
    outcome = room.take(MESSAGE, runner=room.runner(seconds_left=lambda: next(left, 0.0)))
    assert (outcome.published, outcome.handed_over) == (False, False)
    turn = body(other.result())
    assert (turn["status"], names(turn["replies"])) == ("completed", ANSWERED)
    assert room.calls("attempt, status, verdict, cost_usd")[0] == (1, "succeeded", None, FAST_COST)


def test_a_claim_that_waits_for_an_outcome_finds_it(room: CouncilRoom, other: OtherProcess) -> None:
    """The next intent failed, so the outcome was sent alone.

    The claim must not use its snapshot from before the wait: the call is not lost, and the runner before was fruitful.
    """
    room.provider.enqueue(partial(expire, room))
    room.db.hold(OPEN, room.cut_connections)
    other.comes_second(RECORD, other.resume)
    with pytest.raises(JournalUnavailable):
        room.take(MESSAGE)
    assert names(body(other.result())["replies"]) == ANSWERED
    assert room.calls("step, status, verdict") == [(0, "succeeded", "reply"), (1, "succeeded", "reply")]
    assert len(other.provider.requests) == 1
    assert room.row("SELECT expired_claims, outcomes_at_claim FROM turns") == {
        "expired_claims": 0,
        "outcomes_at_claim": 1,
    }


def test_a_publish_that_waits_for_a_late_outcome_posts_what_it_cost(room: CouncilRoom, other: OtherProcess) -> None:
    """The successor is about to publish when the late runner records its outcome first."""
    ready, recorded = threading.Event(), threading.Event()

    def before_publish() -> None:
        ready.set()
        assert recorded.wait(DEADLINE_S)

    def hold() -> None:
        recorded.set()
        room.wait_until_blocked()

    def come_back(_: Request) -> Completion:
        room.expire_lease()
        other.db.before(PUBLISH, before_publish)
        resumed.append(other.start(other.resume))
        assert ready.wait(DEADLINE_S)
        room.db.hold(OPEN, hold)
        return other.late

    resumed: list[Future[Any]] = []
    room.provider.enqueue(come_back)
    assert not room.take(MESSAGE).published
    turn = body(resumed[0].result(DEADLINE_S))
    assert (turn["status"], turn["platform_cost_usd"]) == ("completed", str(FAST_COST))
    assert turn["usage"]["input_tokens"] > USAGE.input_tokens
    kinds = room.rows("SELECT kind, account, amount_usd FROM usage_ledger WHERE step = 0 AND attempt = 1")
    assert kinds == [{"kind": "post", "account": "platform", "amount_usd": FAST_COST}]


def test_a_late_outcome_before_the_publish_is_in_its_response(room: CouncilRoom, other: OtherProcess) -> None:
    """The successor had loaded the turn when the late runner recorded its outcome."""
    ready, recorded = threading.Event(), threading.Event()

    def before_publish() -> None:
        ready.set()
        assert recorded.wait(DEADLINE_S)

    def come_back(_: Request) -> Completion:
        room.expire_lease()
        other.db.before(PUBLISH, before_publish)
        resumed.append(other.start(other.resume))
        assert ready.wait(DEADLINE_S)
        return other.late

    resumed: list[Future[Any]] = []
    room.provider.enqueue(come_back)
    assert not room.take("@writer sesame").published
    recorded.set()
    outcome = resumed[0].result(DEADLINE_S)
    turn = body(outcome)
    assert (turn["status"], turn["platform_cost_usd"]) == ("completed", str(FAST_COST))
    assert turn["usage"]["input_tokens"] > USAGE.input_tokens
    # The late runner's figures include its own call.
    assert len(outcome.calls) == 1
    assert room.accounts() == {"tenant": Decimal(turn["cost_usd"]), "platform": FAST_COST}


def test_a_late_outcome_that_waits_for_a_publish_becomes_an_adjustment(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(other.comes_first(PUBLISH, other.resume))
    assert not room.take(MESSAGE).published
    other.result()
    rows = room.rows("SELECT kind, account FROM usage_ledger WHERE step = 0 AND attempt = 1 ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        ("post", "suspense"),
        ("adjustment", "suspense"),
        ("adjustment", "platform"),
    ]


def test_a_late_outcome_that_meets_a_publish_half_way_becomes_an_adjustment(
    room: CouncilRoom, other: OtherProcess
) -> None:
    """The publish has counted the lost calls, and waits for the row of another call.

    The lost call must stay lost until it is posted.
    """

    def go_on() -> None:
        try:
            room.wait_until_blocked(2)
        finally:
            locker.rollback()

    def come_back(_: Request) -> Completion:
        room.expire_lease()
        other.db.before(PUBLISH, lambda: locker.execute("SELECT FROM llm_calls WHERE step = 0 FOR UPDATE"))
        parts.append(other.start(other.resume))
        room.wait_until_blocked()
        parts.append(other.start(go_on))
        return other.late

    parts: list[Future[Any]] = []
    room.provider.enqueue(answer(), come_back)
    with psycopg.connect(room.owner_url) as locker:
        assert not room.take(MESSAGE).published
        turn, _ = (part.result(DEADLINE_S) for part in parts)
    assert body(turn)["platform_cost_usd"] == "0"
    kinds = room.rows("SELECT kind, account FROM usage_ledger WHERE step = 1 AND attempt = 1 ORDER BY id")
    assert [tuple(row.values()) for row in kinds] == [
        ("post", "suspense"),
        ("adjustment", "suspense"),
        ("adjustment", "platform"),
    ]


def test_a_publish_that_waits_for_its_own_outcome_posts_it(
    room: CouncilRoom, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner's connection broke during its publish, so it recorded the outcome over another one.

    The server had not yet begun the publish.
    """
    run, held = room.db.run, threading.Event()
    recorded: list[Future[Any]] = []

    def hold() -> None:
        held.set()
        room.wait_until_blocked()

    def record_first(tenant_id: str | None, statement: Statement, params: Params) -> list[Row]:
        if statement is PUBLISH:
            other.db.hold(RECORD, hold)
            recorded.append(other.start(partial(other.db.run, tenant_id, RECORD, params)))
            assert held.wait(DEADLINE_S)
        return run(tenant_id, statement, params)

    monkeypatch.setattr(room.db, "run", record_first)
    assert room.take("@writer sesame").published
    assert recorded[0].result(DEADLINE_S) == [{"recorded": True}]
    assert room.rows("SELECT kind, account FROM usage_ledger") == [{"kind": "post", "account": "tenant"}]


def test_an_accept_that_waits_for_another_meets_a_conflict(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(other.is_waited_for)
    other.comes_second(ACCEPT, partial(other.take, MESSAGE))
    assert room.take(MESSAGE).published
    with pytest.raises(TurnConflict):
        other.result()
    assert other.provider.requests == []


def test_an_accept_that_waits_for_its_own_key_is_told_of_that_turn(room: CouncilRoom, other: OtherProcess) -> None:
    other.comes_second(ACCEPT, partial(other.take, MESSAGE, idempotency_key="key-1"))
    outcome = room.take(MESSAGE, idempotency_key="key-1")
    assert other.result().turn_id == outcome.turn_id
    assert other.provider.requests == []


def test_an_accept_that_waits_for_its_key_in_another_session_is_refused(room: CouncilRoom, other: OtherProcess) -> None:
    elsewhere = partial(other.take, MESSAGE, idempotency_key="key-1", session_id=room.make_session())
    other.comes_second(ACCEPT, elsewhere)
    assert room.take(MESSAGE, idempotency_key="key-1").published
    with pytest.raises(IdempotencyKeyReused):
        other.result()
    assert other.provider.requests == []


def test_a_hold_that_waits_for_a_publish_counts_with_what_that_released(room: CouncilRoom, other: OtherProcess) -> None:
    """The limit has no room for another turn besides the reserve of the one that ends."""
    first = room.take("@writer sesame")
    (reserve,) = room.calls("reserve_usd")[0]
    room.limit_to(f"{reserve} + 2 * spent_usd")
    sessions_ = [room.make_session(), room.make_session()]
    part = partial(room.take, "@writer sesame", runner=room.runner(db=other.db), session_id=sessions_[1])
    other.comes_second(PUBLISH, part)
    assert room.take("@writer sesame", session_id=sessions_[0]).published
    assert other.result().published
    assert first.published
