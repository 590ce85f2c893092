"""Tests cancelling a turn or deleting its session at every moment of the turn: the published replies, and the payer."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.db.api import sessions
from shared.db.api.history import record_cancel
from shared.db.protocol import PUBLISH, RECORD
from shared.db.turns import _LOAD as LOAD_TURN
from shared.domain.outcome import TurnOutcome
from shared.errors import NotFound, SessionDeleted, TurnEnded
from shared.llm.port import Request
from tests.support.council_room import FAST_COST, CouncilRoom, Killed, answer, body, names, words_left

# An agent, its reply's status and its error.
Fate = tuple[str, str, str | None]
MESSAGE = "@writer @critic sesame @sesame"
ALL_ANSWERED: list[Fate] = [("writer", "completed", None), ("critic", "completed", None)]
ONE_ANSWERED: list[Fate] = [("writer", "completed", None), ("critic", "skipped", "cancelled")]
NONE_ANSWERED: list[Fate] = [("writer", "skipped", "cancelled"), ("critic", "skipped", "cancelled")]


def cancel(room: CouncilRoom) -> None:
    record_cancel(room.open_database(), room.actor, room.row("SELECT id FROM turns")["id"])


def delete(room: CouncilRoom) -> None:
    sessions.record_session_deletion(room.open_database(), room.actor, room.session_id)


Mark = Callable[[CouncilRoom], None]


def during_call(room: CouncilRoom, number: int, mark: Mark) -> TurnOutcome | None:
    """Take the turn, and set the mark while its call `number` is out."""

    def set_mark(_: Request) -> Any:
        mark(room)
        return answer("sesame")

    room.provider.enqueue(*[answer("sesame")] * (number - 1), set_mark, answer("sesame"))
    return room.take(MESSAGE, idempotency_key="key-1")


def before_publish(room: CouncilRoom, mark: Mark) -> TurnOutcome | None:
    room.provider.enqueue(answer("sesame"), answer("sesame"))
    room.db.before(PUBLISH, lambda: mark(room))
    return room.take(MESSAGE, idempotency_key="key-1")


def in_the_queue(room: CouncilRoom, mark: Mark) -> TurnOutcome | None:
    turn_id = room.take(MESSAGE, idempotency_key="key-1", later=True).turn_id
    mark(room)
    return room.resume(turn_id)


def after_a_death(room: CouncilRoom, mark: Mark) -> TurnOutcome | None:
    """Answer one call, let the process die in the second, set the mark, and let another process take over."""

    def die(_: Request) -> str:
        raise Killed

    room.provider.enqueue(answer("sesame"), die)
    turn_id = room.take_until_killed(MESSAGE, idempotency_key="key-1")
    mark(room)
    return room.resume(turn_id)


# The moment of the mark, the replies after it, and how many of them the tenant pays.
Run = Callable[[CouncilRoom, Mark], TurnOutcome | None]
MOMENTS: dict[str, tuple[Run, list[Fate], int]] = {
    "in the queue": (in_the_queue, NONE_ANSWERED, 0),
    "during the first call": (lambda room, mark: during_call(room, 1, mark), ONE_ANSWERED, 1),
    "during the last call": (lambda room, mark: during_call(room, 2, mark), ALL_ANSWERED, 2),
    "before publish": (before_publish, ALL_ANSWERED, 2),
    "after a death": (after_a_death, ONE_ANSWERED, 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_turn_is_published_with_what_was_answered(room: CouncilRoom, moment: str) -> None:
    run, replies, paid = MOMENTS[moment]
    turn = body(run(room, cancel))
    assert (turn["status"], turn["error"], names(turn["replies"])) == ("cancelled", None, replies)
    assert room.accounts().get("tenant", 0) == FAST_COST * paid
    assert len(room.calls()) == len(room.provider.requests)
    assert room.take(MESSAGE, idempotency_key="key-1").replayed
    assert body(room.take(MESSAGE, idempotency_key="key-1")) == turn
    with pytest.raises(TurnEnded):
        cancel(room)


@pytest.mark.parametrize("moment", MOMENTS)
def test_deleted_session_keeps_its_costs_and_no_text(room: CouncilRoom, moment: str) -> None:
    run, replies, paid = MOMENTS[moment]
    with pytest.raises(SessionDeleted):
        run(room, delete)
    rows = room.rows("SELECT agent_key, status, error_code FROM replies ORDER BY position")
    assert [tuple(row.values()) for row in rows] == replies
    assert room.accounts().get("tenant", 0) == FAST_COST * paid
    assert len(room.calls()) == len(room.provider.requests)
    assert words_left(room, "sesame") == {}
    with pytest.raises(SessionDeleted):
        room.take(MESSAGE, idempotency_key="key-1")


def handed_over(room: CouncilRoom) -> None:
    room.db.before(LOAD_TURN, lambda: delete(room))
    room.take(MESSAGE, runner=room.runner(seconds_left=lambda: 1.0))


def handed_over_again(room: CouncilRoom) -> None:
    turn_id = room.take(MESSAGE, later=True).turn_id
    room.db.before(LOAD_TURN, lambda: delete(room))
    room.resume(turn_id, room.runner(seconds_left=lambda: 1.0))


def replayed(room: CouncilRoom) -> None:
    room.take(MESSAGE, idempotency_key="key-1", later=True)
    room.db.before(LOAD_TURN, lambda: delete(room))
    room.take(MESSAGE, idempotency_key="key-1")


@pytest.mark.parametrize("run", [handed_over, handed_over_again, replayed])
def test_a_session_that_is_deleted_before_its_turn_is_shown_is_said_to_be_deleted(
    room: CouncilRoom, run: Callable[[CouncilRoom], None]
) -> None:
    with pytest.raises(SessionDeleted):
        run(room)


def test_deleting_a_session_takes_the_words_of_ended_turns(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("sesame"), answer("sesame"))
    outcome = room.take(MESSAGE)
    assert words_left(room, "sesame").keys() == {"turns", "replies"}
    delete(room)
    assert words_left(room, "sesame") == {}
    assert room.accounts() == {"tenant": FAST_COST * 2}
    with pytest.raises(NotFound):
        record_cancel(room.db, room.actor, outcome.turn_id)


def test_several_marks_are_all_obeyed(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("sesame"), answer("sesame"))
    room.db.before(PUBLISH, lambda: cancel(room))
    room.db.before(PUBLISH, lambda: delete(room))
    # The first of them has recorded the outcome.
    room.db.before(RECORD, pytest.fail)
    with pytest.raises(SessionDeleted):
        room.take(MESSAGE)
    assert room.row("SELECT status FROM turns") == {"status": "cancelled"}
    assert words_left(room, "sesame") == {}
