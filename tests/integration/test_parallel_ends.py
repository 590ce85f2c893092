"""Tests parallel agents in a turn that ends early: the answers so far are kept, shown and paid."""

from collections.abc import Callable

import pytest

from shared.db.api.history import record_cancel
from shared.db.protocol import RECORD
from shared.errors import DatabaseUnavailable, JournalUnavailable
from shared.llm.port import Completion, Request
from tests.support.council_room import CouncilRoom, Killed, answer, body, names, unbilled, wait_for

MESSAGE = "@writer @researcher @critic hello"
Reply = Callable[[], Completion]


def ask_in_parallel(room: CouncilRoom, *, writer: Reply) -> None:
    """Ask all agents of the session in parallel. The writer's answer is the result of `writer` at each attempt."""

    def reply(request: Request) -> Completion:
        return writer() if "You are the writer." in request.messages[0].text else answer()

    room.session_id = room.make_session(fan_out="parallel")
    room.provider.enqueue(*[reply] * 10)


def test_a_cancel_before_another_attempt_keeps_what_was_answered(room: CouncilRoom) -> None:
    def cancel() -> Completion:
        record_cancel(room.open_database(), room.actor, room.row("SELECT id FROM turns")["id"])
        return unbilled("throttled")

    ask_in_parallel(room, writer=cancel)
    turn = body(room.take(MESSAGE))
    assert turn["status"] == "cancelled"
    assert names(turn["replies"]) == [
        ("writer", "skipped", "cancelled"),
        ("researcher", "completed", None),
        ("critic", "completed", None),
    ]


def test_a_turn_that_is_given_up_keeps_what_was_answered(room: CouncilRoom) -> None:
    def die_last() -> Completion:
        wait_for(lambda: room.row("SELECT count(*) AS open FROM llm_calls WHERE status = 'intent'")["open"] == 1)
        raise Killed

    ask_in_parallel(room, writer=die_last)
    turn_id = room.take_until_killed("@writer @critic hello")
    for _ in range(3):
        with pytest.raises(Killed):
            room.resume(turn_id)
        room.expire_lease()
    turn = body(room.resume(turn_id))
    assert turn["error"]["code"] == "turn_abandoned"
    assert names(turn["replies"]) == [("writer", "skipped", "turn_abandoned"), ("critic", "completed", None)]


def test_an_outcome_that_cannot_be_written_costs_none_of_the_others(room: CouncilRoom) -> None:
    """The database is away for longer than an outcome is retried, and shorter than the turn."""

    def fail() -> None:
        raise DatabaseUnavailable

    ask_in_parallel(room, writer=answer)
    for _ in range(6):
        room.db.before(RECORD, fail)
    with pytest.raises(JournalUnavailable):
        room.take(MESSAGE)
    assert room.calls("status, verdict, cost_usd > 0") == [("succeeded", "reply", True)] * 3
    room.expire_lease()
    assert body(room.resume(room.row("SELECT id FROM turns")["id"]))["status"] == "completed"
    assert len(room.provider.requests) == 3
