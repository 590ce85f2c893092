"""Tests the size limits of a reply and a turn: every stored turn can be read back."""

import json
from typing import Any
from uuid import UUID

import pytest

from shared.db.api.export import load_export
from shared.db.api.history import load_turns
from shared.db.api.pages import PageRequest
from shared.db.turns import load_turn
from shared.domain.turn import MAX_TURN_BYTES, SIZE_LIMIT
from shared.llm.port import MAX_TEXT_BYTES, Request
from tests.support.council_room import ALIASES, CouncilRoom, Killed, answer, body, broken_invariants
from tests.support.quoted import quoted

ASKED = "@writer @researcher @critic hello"
# In JSON each of them takes more bytes than in UTF-8, except the last one.
LETTERS = {"control characters": "\x01", "quotes": '"', "emoji": "😀"}


def die(_: Request) -> str:
    raise Killed


def enqueue(room: CouncilRoom, letter: str, first: int = 0) -> None:
    """An answer of three million characters for each agent from `first` on."""
    room.provider.enqueue(*(answer(f"{number}{letter * 3_000_000}") for number in range(first, len(ALIASES))))


def texts(turn: dict[str, Any]) -> list[tuple[str, str]]:
    return [(reply["text"], reply["stop_reason"]) for reply in turn["replies"]]


def stored_texts(room: CouncilRoom, turn_id: UUID) -> list[tuple[str, str]]:
    rows = room.rows("SELECT text, stop_reason FROM replies WHERE turn_id = %s ORDER BY position", turn_id)
    return [(row["text"], row["stop_reason"]) for row in rows]


@pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS)
def test_a_turn_of_huge_replies_is_stored_within_its_limit_and_read_back(room: CouncilRoom, letter: str) -> None:
    enqueue(room, letter)
    outcome = room.take(ASKED, idempotency_key="key-1")
    turn = body(outcome)
    assert len(outcome.body.encode()) <= MAX_TURN_BYTES
    assert room.row("SELECT octet_length(response) AS bytes FROM turns")["bytes"] == len(outcome.body.encode())
    assert [reply["status"] for reply in turn["replies"]] == ["completed"] * 3
    assert {reason for _, reason in texts(turn)} == {SIZE_LIMIT}
    assert max(len(text.encode()) for text, _ in texts(turn)) <= MAX_TEXT_BYTES
    assert stored_texts(room, outcome.turn_id) == texts(turn)
    assert turn["output"] == "\n\n".join(f"{reply['name']}: {reply['text']}" for reply in turn["replies"])
    assert room.take(ASKED, idempotency_key="key-1").body == outcome.body
    assert load_turn(room.db, room.actor, outcome.turn_id).body == outcome.body
    assert load_turns(room.db, room.actor, room.session_id, PageRequest())[0] == [outcome.body]
    assert load_export(room.db, room.actor, room.session_id, None).turns == {1: outcome.body}
    assert broken_invariants(room.owner) == {}


def test_a_huge_turn_with_a_failed_attempt_is_answered_with_its_stored_bytes(room: CouncilRoom) -> None:
    """Publish appends the end of the response. It does not cut replies again that only the turn's limit cut."""
    room.provider.enqueue(answer(""), *[answer("0" + "\x01" * 100_000)] * len(ALIASES))
    outcome = room.take(ASKED)
    assert SIZE_LIMIT in {reason for _, reason in texts(body(outcome))}
    assert load_turn(room.db, room.actor, outcome.turn_id).body == outcome.body
    assert stored_texts(room, outcome.turn_id) == texts(body(outcome))


def test_the_next_agent_and_the_journal_get_the_reply_as_it_was_cut(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("Roses. " + "😀" * 3_000_000), die)
    turn_id = room.take_until_killed("@writer @critic hello")
    kept = "Roses. " + "😀" * ((MAX_TEXT_BYTES - 7) // 4)
    heard = room.provider.requests[1].messages[-1].text
    assert heard.endswith(quoted("Writer", kept))
    assert room.row("SELECT output, stop_reason FROM llm_calls WHERE step = 0") == {
        "output": kept,
        "stop_reason": SIZE_LIMIT,
    }
    resumed = body(room.resume(turn_id))
    assert texts(resumed)[0] == (kept, SIZE_LIMIT)
    assert room.provider.requests[2].messages == room.provider.requests[1].messages


def test_a_resumed_turn_makes_the_same_cuts(room: CouncilRoom) -> None:
    enqueue(room, "\x01")
    undisturbed = body(room.take(ASKED))
    room.provider.enqueue(answer("0" + "\x01" * 3_000_000), die)
    turn_id = room.take_until_killed(ASKED, session_id=room.make_session())
    enqueue(room, "\x01", first=1)
    resumed = room.resume(turn_id)
    assert texts(body(resumed)) == texts(undisturbed) == stored_texts(room, turn_id)


def test_a_running_turn_is_shown_within_the_limit(room: CouncilRoom) -> None:
    shown: list[str] = []

    def look(_: Request) -> str:
        reader = room.open_database()
        shown.append(load_turn(reader, room.actor, room.row("SELECT id FROM turns")["id"]).body)
        return "Roses."

    room.provider.enqueue(*(answer("0" + "\x01" * 3_000_000) for _ in range(2)), look)
    room.take(ASKED)
    assert len(json.loads(shown[0])["replies"]) == 2
    assert len(shown[0].encode()) <= MAX_TURN_BYTES


def test_journal_cuts_a_helpers_answer(room: CouncilRoom) -> None:
    decision = json.dumps({"selected_agent_keys": ["critic"], "reason": "x" * 3_000_000})
    room.provider.enqueue(answer(decision), die)
    turn_id = room.take_until_killed("hello", session_id=room.make_session(mode="orchestrator"))
    kept = room.row("SELECT octet_length(output) AS bytes, purpose FROM llm_calls WHERE step = 0")
    assert kept == {"bytes": MAX_TEXT_BYTES, "purpose": "routing"}
    turn = body(room.resume(turn_id))
    assert (turn["status"], turn["plan"]["source"]) == ("completed", "fallback")
