"""Tests the chunks of a streamed answer for every mode: joined, they are the text of the turn."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from functions.openai_errors import error_json
from functions.turns.chat_chunks import ChatChunks
from functions.turns.chat_text import AGAIN, BROKE_OFF, SentText
from shared.domain.chat import shown
from shared.domain.money import Usage
from shared.domain.problem import problem
from shared.domain.turn import Plan, Reply, Turn, TurnStatus
from shared.domain.turn_events import Delta, Event

Item = Event | Delta

TURN_ID, CALL_ID = UUID(int=7), UUID(int=8)
NAMES = ("Ada", "Bob", "Cid")
USAGE = Usage(100, 20, 50, 10, 7)


def reply(position: int, text: str | None, name: str = "", stop_reason: str = "end_turn") -> Reply:
    """A reply, which is a failed one without a text."""
    key = (name or NAMES[position]).lower()
    if text is None:
        return Reply(position, key, 1, name or NAMES[position], "failed", error=problem("provider_error"))
    return Reply(position, key, 1, name or NAMES[position], "completed", text, stop_reason)


def turn(*replies: Reply, mode: str = "tag", status: TurnStatus = "completed", conclusion: int | None = None) -> Turn:
    return Turn(
        id=TURN_ID,
        session_id=UUID(int=9),
        turn_index=1,
        status=status,
        mode=mode,
        message="hello",
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        error=problem("no_reply") if status == "failed" else None,
        plan=Plan(tuple(each.agent_key for each in replies), "roster"),
        replies=replies,
        usage=USAGE,
        conclusion=conclusion,
    )


def opening(of: Turn) -> list[Item]:
    running = Turn(of.id, of.session_id, 1, "running", of.mode, "hello", of.created_at)
    assert of.plan
    return [Event("turn", running.as_json(), "0"), Event("plan", json.dumps(of.plan.as_dict()), "1")]


def started(position: int, name: str = "") -> Event:
    data = {"position": position, "name": name or NAMES[position], "attempt": 1}
    return Event("reply.started", json.dumps(data), "1", position, str(CALL_ID))


def reset(position: int) -> Event:
    return Event("reply.reset", json.dumps({"position": position}), None, position)


def completed(of: Reply) -> Event:
    return Event("reply.completed", json.dumps(of.as_dict()), "1", of.position)


def ended(of: Turn) -> Event:
    return Event("turn.ended", of.as_json(), "end")


def deltas(position: int, *texts: str) -> list[Item]:
    return [Delta(position, text) for text in texts]


def encoded(items: Sequence[Item], *, is_call: bool = False, with_usage: bool = False) -> list[Any]:
    """The data of each event of the stream, '[DONE]' as it is."""
    encoder = ChatChunks("writer", is_call=is_call, with_usage=with_usage)
    blocks = b"".join(map(encoder.encode, items)).decode().split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    told = [block.removeprefix("data: ") for block in blocks]
    return [each if each == "[DONE]" else json.loads(each) for each in told]


def text_of(chunks: Sequence[Any], channel: str = "content") -> str:
    return "".join(
        choice["delta"].get(channel, "") for chunk in chunks if chunk != "[DONE]" for choice in chunk.get("choices", ())
    )


def pieces_of(chunks: Sequence[Any]) -> list[str]:
    found = [text_of([chunk]) for chunk in chunks]
    return [piece for piece in found if piece]


def test_one_agent_streams_and_the_last_chunks_have_its_end() -> None:
    whole = turn(reply(0, "Hello world."))
    chunks = encoded(
        [*opening(whole), started(0), *deltas(0, "Hello", " world."), completed(whole.replies[0]), ended(whole)]
    )
    head = {"id": f"chatcmpl-{TURN_ID}", "object": "chat.completion.chunk", "created": 1767312000, "model": "writer"}
    assert [{name: chunk[name] for name in head} for chunk in chunks[:-1]] == [head] * 4
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " world."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert chunks[-2]["pantheon"]["turn_id"] == str(TURN_ID)
    assert "usage" not in chunks[0]
    assert chunks[-1] == "[DONE]"


def test_usage_is_in_a_chunk_without_choices_when_it_is_requested() -> None:
    whole = turn(reply(0, "Hello."))
    *others, usage, done = encoded([*opening(whole), ended(whole)], with_usage=True)
    assert [chunk["usage"] for chunk in others] == [None] * len(others)
    assert (usage["choices"], done) == ([], "[DONE]")
    assert usage["usage"] == {
        "prompt_tokens": 160,
        "completion_tokens": 27,
        "total_tokens": 187,
        "prompt_tokens_details": {"cached_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }


@pytest.mark.parametrize("stop_reason", ["max_tokens", "size_limit"])
def test_answer_that_was_cut_ends_by_its_length(stop_reason: str) -> None:
    whole = turn(reply(0, "a"), reply(1, "b", stop_reason=stop_reason))
    assert encoded([*opening(whole), ended(whole)])[-2]["choices"][0]["finish_reason"] == "length"


def test_agents_in_sequence_are_named_and_stream() -> None:
    whole = turn(reply(0, "one"), reply(1, "two"))
    events = [*opening(whole), started(0), *deltas(0, "o", "ne"), completed(whole.replies[0])]
    events += [started(1), *deltas(1, "t", "wo"), completed(whole.replies[1]), ended(whole)]
    chunks = encoded(events)
    assert pieces_of(chunks) == ["**Ada:** o", "ne", "\n\n**Bob:** t", "wo"]
    assert text_of(chunks) == shown(whole)


def test_of_parallel_agents_the_first_streams_and_the_others_come_whole_after_it() -> None:
    whole = turn(reply(0, "one"), reply(1, "two"), reply(2, "three"))
    events = [*opening(whole), started(0), started(1), started(2), *deltas(2, "thr"), *deltas(0, "o")]
    events += [*deltas(1, "two"), completed(whole.replies[1]), *deltas(0, "ne"), completed(whole.replies[0])]
    events += [*deltas(2, "ee"), completed(whole.replies[2]), ended(whole)]
    chunks = encoded(events)
    assert pieces_of(chunks) == ["**Ada:** o", "ne", "\n\n**Bob:** two", "\n\n**Cid:** three"]
    assert text_of(chunks) == shown(whole)


def test_failed_agents_are_left_out_as_in_the_answer() -> None:
    whole = turn(reply(0, None), reply(1, "two"), reply(2, None))
    events = [*opening(whole), started(0), completed(whole.replies[0]), started(1), *deltas(1, "two")]
    chunks = encoded([*events, *map(completed, whole.replies[1:]), ended(whole)])
    assert text_of(chunks) == shown(whole) == "**Bob:** two"


def test_members_of_a_council_are_its_reasoning_and_the_chair_is_its_content() -> None:
    whole = turn(reply(0, "one"), reply(1, "two"), reply(2, "both", name="Ada"), mode="council", conclusion=2)
    events = [*opening(whole), started(0), started(1), *deltas(1, "tw"), *deltas(0, "one"), *deltas(1, "o")]
    events += [completed(whole.replies[1]), completed(whole.replies[0]), started(2, "Ada"), *deltas(2, "bo", "th")]
    chunks = encoded([*events, completed(whole.replies[2]), ended(whole)])
    assert text_of(chunks, "reasoning_content") == "**Ada:** one\n\n**Bob:** two"
    assert pieces_of(chunks) == ["bo", "th"]
    assert text_of(chunks) == shown(whole)


@pytest.mark.parametrize(("said", "content"), [((), "two"), (("bo",), f"bo{AGAIN}two")])
def test_content_is_the_best_answer_when_the_chair_fails(said: tuple[str, ...], content: str) -> None:
    whole = turn(reply(0, "one"), reply(1, "two"), reply(2, None, name="Ada"), mode="council", conclusion=1)
    events = [*opening(whole), started(0), started(1), *map(completed, whole.replies[:2]), started(2, "Ada")]
    events += [*deltas(2, *said), *([reset(2)] if said else []), completed(whole.replies[2]), ended(whole)]
    assert text_of(encoded(events)) == content


def test_new_attempt_continues_the_sent_text_when_it_repeats_it() -> None:
    whole = turn(reply(0, "Hello world."))
    events = [
        *opening(whole),
        started(0),
        *deltas(0, "Hello w"),
        reset(0),
        started(0),
        *deltas(0, "Hel", "lo wor", "ld."),
    ]
    chunks = encoded([*events, completed(whole.replies[0]), ended(whole)])
    assert pieces_of(chunks) == ["Hello w", "or", "ld."]
    assert text_of(chunks) == shown(whole)


def test_new_attempt_begins_after_a_line_when_its_text_differs() -> None:
    whole = turn(reply(0, "Help."))
    events = [*opening(whole), started(0), *deltas(0, "Hello w"), reset(0), started(0), *deltas(0, "Hel", "p", ".")]
    chunks = encoded([*events, completed(whole.replies[0]), ended(whole)])
    assert pieces_of(chunks) == ["Hello w", f"{AGAIN}Help", "."]


def test_shorter_text_of_a_new_attempt_is_sent_at_its_end() -> None:
    whole = turn(reply(0, "Hello"))
    events = [*opening(whole), started(0), *deltas(0, "Hello w"), reset(0), started(0), *deltas(0, "Hello")]
    assert text_of(encoded([*events, completed(whole.replies[0]), ended(whole)])) == f"Hello w{AGAIN}Hello"


def test_agent_that_fails_after_its_text_was_sent_has_a_line_about_it() -> None:
    whole = turn(reply(0, None), reply(1, "two"))
    events = [*opening(whole), started(0), *deltas(0, "on"), reset(0), completed(whole.replies[0]), started(1)]
    chunks = encoded([*events, *deltas(1, "two"), completed(whole.replies[1]), ended(whole)])
    assert text_of(chunks) == f"**Ada:** on{BROKE_OFF}\n\n**Bob:** two"


@pytest.mark.parametrize("replies", [(reply(0, "a long text"),), (reply(0, "a long text"), reply(1, "another"))])
def test_text_that_a_slow_reader_missed_is_sent_with_the_reply(replies: tuple[Reply, ...]) -> None:
    whole = turn(*replies)
    events = [*opening(whole)]
    for each in replies:
        events += [started(each.position), *deltas(each.position, (each.text or "")[:3]), completed(each)]
    assert text_of(encoded([*events, ended(whole)])) == shown(whole)


@pytest.mark.parametrize("answer", [None, "Neither."])
def test_replies_of_a_graph_are_its_reasoning_and_its_output_is_its_content(answer: str | None) -> None:
    whole = turn(reply(0, "one"), reply(1, "two"), mode="graph:tools", conclusion=1)
    whole = replace(whole, answer=answer)
    chunks = encoded([Event("turn", whole.as_json(), None), ended(whole)])
    assert text_of(chunks, "reasoning_content") == "**Ada:** one\n\n**Bob:** two"
    assert text_of(chunks) == shown(whole) == (answer or "two")


@pytest.mark.parametrize("mode", ["tag", "council"])
def test_stored_turn_has_the_same_text(mode: str) -> None:
    """A replayed turn has no events but its first and its last."""
    replies = (reply(0, "one"), reply(1, None), reply(2, "three"))
    whole = turn(*replies, mode=mode, conclusion=2 if mode == "council" else None)
    chunks = encoded([Event("turn", whole.as_json(), None), ended(whole)])
    assert text_of(chunks) == shown(whole)
    assert text_of(chunks, "reasoning_content") == ("**Ada:** one" if mode == "council" else "")


def test_call_of_an_alias_has_the_id_of_its_call() -> None:
    whole = turn(reply(0, "Hello."), mode="call")
    chunks = encoded(
        [*opening(whole), started(0), *deltas(0, "Hello."), completed(whole.replies[0]), ended(whole)], is_call=True
    )
    assert {chunk["id"] for chunk in chunks[:-1]} == {f"chatcmpl-{CALL_ID}"}
    assert (chunks[-2]["pantheon"]["turn_id"], chunks[-2]["pantheon"]["session_id"]) == (None, None)


def test_turn_that_fails_ends_with_an_error_and_without_done() -> None:
    whole = turn(reply(0, None), status="failed")
    events = [*opening(whole), started(0), *deltas(0, "on"), reset(0), completed(whole.replies[0]), ended(whole)]
    *_, said, last = encoded(events)
    assert text_of([said]) == "on"
    assert last == {
        "error": {
            "message": "No agent answered. Ada: The provider failed. Send the message again later.",
            "type": "api_error",
            "param": None,
            "code": "no_reply",
        }
    }


def test_turn_that_is_handed_over_ends_with_an_error() -> None:
    whole = turn(reply(0, "a"))
    last = encoded([*opening(whole), Event("turn.handed_over", whole.as_json(), "1")])[-1]
    assert last["error"]["code"] == "turn_handed_over"


def test_error_of_the_turns_thread_is_sent_once() -> None:
    whole = turn(reply(0, "a"))
    encoder = ChatChunks("writer", is_call=False, with_usage=False)
    assert encoder.fail(error_json(503, "journal_unavailable", "No.", None)).startswith(b'data: {"error"')
    assert encoder.fail(error_json(503, "journal_unavailable", "No.", None)) == b""
    done = ChatChunks("writer", is_call=False, with_usage=False)
    for event in (*opening(whole), ended(whole)):
        done.encode(event)
    assert done.fail("{}") == b""


def test_separators_of_lines_in_a_text_are_escaped() -> None:
    whole = turn(reply(0, "a\u2028b\n\nc"))
    encoder = ChatChunks("writer", is_call=False, with_usage=False)
    written = b"".join(map(encoder.encode, [*opening(whole), ended(whole)]))
    assert b"\\u2028b\\n\\nc" in written


def test_sent_text_has_the_length_of_the_sent_pieces() -> None:
    text = SentText()
    assert [text.add("ab"), text.add("c")] == ["ab", "c"]
    text.restart()
    assert [text.add("a"), text.add("bc"), text.add("d")] == ["", "", "d"]
    assert text.complete("abcde") == "e"
    assert text.complete("abcde") == ""
