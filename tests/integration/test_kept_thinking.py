"""Tests a model's thinking: the journal keeps it for the audit of admins, and deletes it with the session's text."""

from typing import Any
from uuid import UUID

import pytest

from shared.db.api.audit import load_audit
from shared.db.api.export import load_export
from shared.domain.actor import Actor
from shared.llm.port import MAX_THINKING_BYTES, Completion
from tests.support.council_room import CouncilRoom, Killed, answer, body, words_left

ADMIN = Actor("tenant-1", "root", is_admin=True)
THOUGHT = answer("<think>A sesame?</think>Use tests.")
APART = Completion("succeeded", "Use tests.", "end_turn", THOUGHT.usage, thinking="A sesame?")


def die(_: object) -> Completion:
    raise Killed


@pytest.fixture
def turn_id(room: CouncilRoom) -> UUID:
    """A turn with an answer that has thinking and one that has none."""
    room.provider.enqueue(THOUGHT, answer())
    return room.take("@writer @critic hello").turn_id


def told(room: CouncilRoom, actor: Actor, turn_id: UUID) -> list[Any]:
    (event,) = load_audit(room.db, actor, turn_id)
    return [attempt["thinking"] for attempt in event["detail"]["attempts"]]


@pytest.mark.parametrize("said", [THOUGHT, APART], ids=["in the answer", "apart from it"])
def test_the_journal_keeps_thinking_apart_from_the_reply(room: CouncilRoom, said: Completion) -> None:
    room.provider.enqueue(said, answer())
    turn = body(room.take("@writer @critic hello"))
    assert room.calls("thinking, has_thinking") == [("A sesame?", True), (None, False)]
    assert turn["replies"][0]["text"] == "Use tests."
    assert words_left(room, "sesame") == {"llm_calls": 1}


def test_thinking_is_in_no_prompt_and_no_export(room: CouncilRoom, turn_id: UUID) -> None:
    room.provider.enqueue(answer())
    room.take("@writer again")
    assert "sesame" not in str([request.messages for request in room.provider.requests])
    assert "sesame" not in str(load_export(room.db, ADMIN, room.session_id, None))


def test_thinking_is_in_no_log(room: CouncilRoom, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    room.provider.enqueue(answer("<think>A sesame?"))
    room.take("@writer hello")
    assert "sesame" not in str([vars(record) for record in caplog.records])


def test_a_helpers_thinking_is_kept(room: CouncilRoom) -> None:
    room.provider.enqueue(answer('<think>A sesame?</think>{"selected_agent_keys": ["critic"]}'), answer())
    room.take("hello", session_id=room.make_session(mode="orchestrator"))
    assert room.calls("purpose, thinking") == [("routing", "A sesame?"), ("agent", None)]


@pytest.mark.parametrize(("letter", "size"), [("x", 1), ("\n", 2), ("😀", 4), ("\x01", 6)])
def test_a_long_thought_is_cut_at_its_bound_and_read_back(room: CouncilRoom, letter: str, size: int) -> None:
    """In JSON a letter takes `size` bytes."""
    room.provider.enqueue(answer(f"<think>Hm.{letter * 300_000}.</think>Use tests."))
    turn_id = room.take("@writer hello").turn_id
    (kept,) = told(room, ADMIN, turn_id)
    assert kept == "Hm." + letter * ((MAX_THINKING_BYTES - 3) // size)


def test_a_reply_of_thinking_alone_keeps_it(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("<think>A sesame?"))
    turn = body(room.take("@writer hello"))
    assert turn["replies"][0]["error"]["code"] == "thinking_only"
    assert room.calls("error_code, thinking") == [("thinking_only", "A sesame?")]


def test_a_resumed_turn_keeps_the_thinking_of_the_process_before(room: CouncilRoom) -> None:
    room.provider.enqueue(THOUGHT, die)
    turn_id = room.take_until_killed("@writer @critic hello")
    room.provider.enqueue(answer("<think>Another sesame.</think>So."))
    room.resume(turn_id)
    assert told(room, ADMIN, turn_id) == ["A sesame?", None, "Another sesame."]
    assert "sesame" not in str([request.messages for request in room.provider.requests])
