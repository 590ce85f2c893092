"""Tests two turns of one tenant at once: each step changes its own turn only."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from shared.db.protocol import FRUITLESS_CLAIMS
from shared.llm.port import Request
from shared.llm.scripted import ScriptedProvider
from shared.turns.run import Runner
from tests.support.council_room import CouncilRoom, Killed, body, unbilled

MESSAGE = "@writer @critic hello"


def die(_: Request) -> str:
    raise Killed


def none_fits() -> float:
    return 0.0


def as_stored(room: CouncilRoom, turn_id: UUID) -> list[Any]:
    """The turn's row, its calls, its posts and its replies."""
    tables = ("turns WHERE id", "llm_calls WHERE turn_id", "usage_ledger WHERE turn_id", "replies WHERE turn_id")
    return [room.rows(f"SELECT * FROM {table} = %s ORDER BY 1", turn_id) for table in tables]


def newest(room: CouncilRoom) -> UUID:
    turn_id: UUID = room.row("SELECT id FROM turns ORDER BY id DESC LIMIT 1")["id"]
    return turn_id


def left_behind(room: CouncilRoom, runner: Runner, *script: Any) -> UUID:
    """A turn in a session of its own whose process has died and whose lease has ended."""
    assert isinstance(runner.provider, ScriptedProvider)
    runner.provider.enqueue(*script, die)
    with suppress(Killed):
        room.take(MESSAGE, runner=runner, session_id=room.make_session())
    expire(room, newest(room))
    return newest(room)


def expire(room: CouncilRoom, turn_id: UUID) -> None:
    room.owner.execute(
        "UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = %s", (turn_id,)
    )


def ends(room: CouncilRoom, runner: Runner) -> None:
    assert room.take(MESSAGE, runner=runner, session_id=room.make_session()).published


def is_resumed(room: CouncilRoom, runner: Runner) -> None:
    assert body(room.resume(left_behind(room, runner, "Roses."), runner))["status"] == "completed"


def is_handed_over(room: CouncilRoom, runner: Runner) -> None:
    hurried = room.runner(db=runner.db, provider=runner.provider, seconds_left=none_fits)
    turn_id = room.take(MESSAGE, runner=hurried, session_id=room.make_session()).turn_id
    assert room.resume(turn_id, hurried) is not None
    assert body(room.resume(turn_id, runner))["status"] == "completed"


def is_forfeited(room: CouncilRoom, runner: Runner) -> None:
    turn_id = left_behind(room, runner, "Roses.")
    room.owner.execute("UPDATE turns SET expired_claims = %s WHERE id = %s", (FRUITLESS_CLAIMS + 1, turn_id))
    assert body(room.resume(turn_id, runner))["status"] == "failed"


def is_answered_late(room: CouncilRoom, runner: Runner) -> None:
    def come_back_late(_: Request) -> str:
        expire(room, newest(room))
        room.resume(newest(room), room.runner(db=room.open_database(), provider=ScriptedProvider()))
        return "Too late."

    assert isinstance(runner.provider, ScriptedProvider)
    runner.provider.enqueue(come_back_late)
    assert not room.take(MESSAGE, runner=runner, session_id=room.make_session()).published


@pytest.mark.parametrize("other", [ends, is_resumed, is_handed_over, is_forfeited, is_answered_late])
def test_a_call_that_is_out_is_left_alone_when_another_turn(
    room: CouncilRoom, other: Callable[[CouncilRoom, Runner], None]
) -> None:
    def meanwhile(_: Request) -> str:
        turn_id = newest(room)
        before = as_stored(room, turn_id)
        other(room, room.runner(db=room.open_database(), provider=ScriptedProvider()))
        assert as_stored(room, turn_id) == before
        return "Roses."

    room.provider.enqueue("Violets.", meanwhile)
    assert room.take(MESSAGE).published


def test_outcomes_of_other_turns_make_no_claim_fruitful(room: CouncilRoom) -> None:
    turn_id = left_behind(room, room.runner())
    for number in (1, 2):
        ends(room, room.runner())
        room.provider.enqueue(die)
        with pytest.raises(Killed):
            room.resume(turn_id)
        expire(room, turn_id)
        assert room.row("SELECT expired_claims FROM turns WHERE id = %s", turn_id) == {"expired_claims": number}
    ends(room, room.runner())
    assert body(room.resume(turn_id))["error"]["code"] == "turn_abandoned"


def test_outcomes_of_other_turns_make_no_hand_over_fruitful(room: CouncilRoom) -> None:
    hurried = room.runner(seconds_left=none_fits)
    turn_id = room.take(MESSAGE, runner=hurried).turn_id
    ends(room, room.runner())
    for number in (1, 2, 3):
        assert room.resume(turn_id, hurried) is not None
        assert room.row("SELECT expired_claims FROM turns WHERE id = %s", turn_id) == {"expired_claims": number}
    assert body(room.resume(turn_id))["error"]["code"] == "turn_abandoned"


def test_only_the_turn_that_was_given_up_is_marked(room: CouncilRoom) -> None:
    is_forfeited(room, room.runner())
    given_up = newest(room)
    room.provider.enqueue(unbilled("refused"), unbilled("refused"))
    assert body(room.take(MESSAGE))["error"]["code"] == "no_reply"
    failed = newest(room)
    ends(room, room.runner())
    outcome = room.resume(given_up)
    assert outcome is not None
    assert (outcome.status, outcome.body, outcome.abandoned) == ("failed", "", True)
    assert (room.resume(failed), room.resume(newest(room))) == (None, None)


def test_lost_call_of_another_turn_does_not_block_a_publish(room: CouncilRoom) -> None:
    turn_id = left_behind(room, room.runner())
    room.provider.enqueue(die)
    with pytest.raises(Killed):
        room.resume(turn_id)
    ends(room, room.runner())
    expire(room, turn_id)
    assert body(room.resume(turn_id))["status"] == "completed"
