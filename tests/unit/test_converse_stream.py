"""Tests that a response of ConverseStream, split at any byte, equals the complete response."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from shared.domain.money import Usage
from shared.llm.converse import read_response
from shared.llm.converse_stream import ConverseStream
from shared.llm.live_answer import LiveAnswer
from shared.llm.port import Completion
from tests.support.fake_bedrock.frames import event, exception, frame, frames_of, text

COUNT = {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}
STOP = event("messageStop", {"stopReason": "end_turn"})
COUNTED = event("metadata", {"usage": COUNT, "metrics": {"latencyMs": 1}})
MALFORMED = Completion("unknown", error="malformed_response")
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2lnbmVk"}}}
TOOL = {"toolUse": {"toolUseId": "1", "name": "text", "input": {"text": "x"}}}
CACHED = {"cacheReadInputTokens": 7, "cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "1h", "inputTokens": 2}]}


def read(chunks: Sequence[bytes]) -> tuple[Completion, list[str]]:
    pieces: list[str] = []
    live = LiveAnswer(ConverseStream(), pieces.append)
    for chunk in chunks:
        live.take(chunk)
    completion = read_response(live.body())
    live.finish(completion)
    return completion, pieces


def splits(body: bytes) -> Iterator[list[bytes]]:
    """In one, a byte at a time, and in two at every position."""
    yield [body]
    yield [bytes([byte]) for byte in body]
    for position in range(1, len(body)):
        yield [body[:position], body[position:]]


def response(*content: object, stop_reason: str = "end_turn", usage: Mapping[str, Any] = COUNT) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": stop_reason, "usage": usage}


RESPONSES: dict[str, dict[str, Any]] = {
    "text": response({"text": "So, ß 👋."}),
    "nothing": response(),
    "thinking": response(THOUGHT, {"text": "So."}, TOOL),
    "thinking that nobody may read": response({"reasoningContent": {"redactedContent": "AAAA"}}, {"text": "So."}),
    "two texts": response({"text": "So"}, TOOL, {"text": " it is."}),
    "half a character": response({"text": "a\ud83d"}),
    "a NUL": response({"text": "a\x00b"}),
    "cut": response({"text": "So"}, stop_reason="max_tokens"),
    "thinking that used up the cap": response(THOUGHT, stop_reason="max_tokens"),
    "filtered": response({"text": "So"}, stop_reason="guardrail_intervened"),
    "what the cache served": response({"text": "So."}, usage=COUNT | CACHED),
    "no count": response({"text": "So."}, usage={"inputTokens": 9}),
    "zeros": response({"text": "So."}, usage={"inputTokens": 9, "outputTokens": 0}),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_stream_is_the_response_that_it_streams_however_it_is_split(name: str) -> None:
    document = RESPONSES[name]
    expected = read_response(json.dumps(document).encode())
    body = b"".join(frames_of(document))
    for chunks in splits(body):
        completion, pieces = read(chunks)
        assert completion == expected
        if expected.status == "succeeded":
            assert "".join(pieces) == expected.text


def test_a_character_may_be_in_two_frames() -> None:
    completion, pieces = read([text("a\ud83d"), text("\udc4bb"), STOP, COUNTED])
    assert (completion.text, pieces) == ("a👋b", ["a", "👋b"])


def test_each_piece_is_passed_on_before_the_next_one_arrives() -> None:
    told: list[str] = []
    live = LiveAnswer(ConverseStream(), told.append)
    thought = event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Hm."}}})
    for chunk, expected in ((thought, ""), (text("So"), "So"), (text(" it")[:20], "So"), (text(" it")[20:], "So it")):
        live.take(chunk)
        assert "".join(told) == expected


def damaged(whole: bytes, position: int) -> bytes:
    return whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]


@pytest.mark.parametrize(
    "body",
    [
        text("So.") + STOP,
        text("So.") + STOP + COUNTED[:-1],
        text("So.") + STOP + COUNTED + b"\x00",
        text("So.") + STOP + COUNTED + b"\x00\x00\x00\x01",
        text("So.") + STOP + COUNTED + b"\x7f\xff\xff\xff" * 4,
        *(damaged(text("So."), position) + STOP + COUNTED for position in range(4, len(text("So.")))),
        text("So.") + frame({":message-type": "event", ":event-type": "metadata"}, b"{") + COUNTED,
    ],
)
def test_a_stream_that_is_damaged_or_not_counted_is_unknown(body: bytes) -> None:
    for chunks in ([body], [bytes([byte]) for byte in body]):
        assert read(chunks)[0] == MALFORMED


def test_answer_of_a_stream_is_bounded() -> None:
    long = text("x" * 1_000_000)
    completion, pieces = read([long] * 5 + [STOP, COUNTED])
    assert len(completion.text) == len("".join(pieces)) == 5_000_000
    assert read([long] * 9 + [STOP, COUNTED])[0] == MALFORMED
    assert read([event("ping", "x" * 9_000_000), text("So."), STOP, COUNTED])[0] == MALFORMED


def test_a_response_without_a_stream_is_read_at_its_end() -> None:
    body = json.dumps(response({"text": "So it is."})).encode()
    completion, pieces = read([body[:9], body[9:]])
    assert (completion.status, pieces) == ("succeeded", ["So it is."])


@pytest.mark.parametrize(
    "error",
    [
        exception("throttlingException"),
        frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "No."}, b""),
    ],
    ids=["exception", "error"],
)
def test_count_is_kept_when_an_error_follows_it(error: bytes) -> None:
    completion, _ = read([text("So."), STOP, COUNTED, error])
    assert (completion.status, completion.error, completion.usage) == ("succeeded", "provider_error", Usage(9, 4))
