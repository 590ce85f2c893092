"""Tests a plain call of an alias: a turn of a hidden session that leaves only its cost."""

from typing import Any

import pytest

from shared.db.api.pages import PageRequest
from shared.db.api.sessions import load_sessions, record_session_deletion
from shared.db.engine import Database
from shared.db.turns import load_turn
from shared.domain.conversation import Options
from shared.errors import NotFound
from shared.llm.port import Completion
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, answer, words_left

CALL: dict[str, Any] = {"model": None, "alias": "fast"}


@pytest.fixture
def program(room: CouncilRoom) -> ChatProgram:
    return ChatProgram(room)


@pytest.fixture
def others(room: CouncilRoom) -> Any:
    """A runner on another connection."""
    return room.runner(db=room.open_database())


def test_call_leaves_its_cost_and_no_text(program: ChatProgram) -> None:
    room = program.room
    options = Options(50, 0.5, ({"role": "user", "content": "sesame"},))
    room.provider.enqueue(answer("sesame, open"))
    turn = program.ask("sesame", options=options, instructions="sesame", **CALL)
    assert turn["output"] == "sesame, open"
    assert words_left(room, "sesame") == {}
    (call,) = room.rows("SELECT model_alias, agent_key, cost_usd, output FROM llm_calls")
    assert (call["model_alias"], call["agent_key"], call["output"]) == ("fast", "alias/fast", None)
    assert room.accounts() == {"tenant": call["cost_usd"]}
    (request,) = room.provider.requests
    assert (request.max_output_tokens, request.temperature) == (50, 0.5)
    assert [(message.role, message.text) for message in request.messages] == [("user", "sesame")]


def test_call_is_hidden_while_it_runs_and_after(program: ChatProgram, others: Any) -> None:
    room = program.room

    def look(_: object) -> Any:
        db: Database = others.db
        (turn,) = room.rows("SELECT id, session_id FROM turns")
        with pytest.raises(NotFound):
            load_turn(db, room.actor, turn["id"])
        with pytest.raises(NotFound):
            room.take("@writer hello", session_id=turn["session_id"], runner=others)
        with pytest.raises(NotFound):
            record_session_deletion(db, room.actor, turn["session_id"])
        return answer()

    room.provider.enqueue(look)
    program.ask("one", **CALL)
    listed = load_sessions(room.db, room.actor, PageRequest(100, None, "desc")).items
    assert [session["id"] for session in listed] == [room.session_id]


def test_call_that_outlives_its_process_ends_without_another_call(program: ChatProgram) -> None:
    """The answer has no reader left, so the turn makes no other call."""
    room = program.room

    def die(_: object) -> Any:
        raise KeyboardInterrupt

    room.provider.enqueue(die)
    options = Options(messages=({"role": "user", "content": "sesame"},))
    with pytest.raises(KeyboardInterrupt):
        program.ask("sesame", options=options, **CALL)
    (turn,) = room.rows("SELECT id FROM turns")
    room.expire_lease()
    asked = len(room.provider.requests)
    outcome = room.resume(turn["id"])
    assert outcome is not None
    assert (outcome.status, outcome.abandoned, len(room.provider.requests)) == ("failed", False, asked)
    assert words_left(room, "sesame") == {}


def test_call_that_runs_out_of_time_is_not_handed_over(program: ChatProgram) -> None:
    room = program.room
    room.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=20.0))
    left = iter([30.0])
    options = Options(messages=({"role": "user", "content": "sesame"},))
    runner = room.runner(seconds_left=lambda: next(left, 14.0))
    turn = program.ask("sesame", runner=runner, options=options, **CALL)
    assert (turn["status"], turn["error"]["code"]) == ("failed", "no_reply")
    assert room.row("SELECT count(*) AS n FROM turns WHERE status IN ('accepted', 'running')") == {"n": 0}
    assert words_left(room, "sesame") == {}
