"""Tests that a streamed chat completion, split at any byte, equals the complete answer."""

import json
import time
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from shared.domain.money import Usage
from shared.llm.body import MAX_BODY_BYTES
from shared.llm.chat_completions import read_completion
from shared.llm.chat_stream import ChatStream
from shared.llm.live_answer import LiveAnswer
from shared.llm.port import Completion
from tests.support.fake_provider.streamed import DONE, event, events_of
from tests.support.model_answers import ROUTING, STRUCTURE, TEXT
from tests.support.streamed_answers import BROKEN, COUNT, COUNTED, MALFORMED, STOP, STREAMS, delta, fine, said


def read(chunks: Sequence[bytes]) -> tuple[Completion, list[str]]:
    pieces: list[str] = []
    live = LiveAnswer(ChatStream(), pieces.append)
    for chunk in chunks:
        live.take(chunk)
    completion = read_completion(live.body())
    live.finish(completion)
    return completion, pieces


def splits(body: bytes) -> Iterator[list[bytes]]:
    """In one, a byte at a time, and in two at every position."""
    yield [body]
    yield [bytes([byte]) for byte in body]
    for position in range(1, len(body)):
        yield [body[:position], body[position:]]


def check(body: bytes, expected: Completion) -> None:
    """The outcome is `expected` however the body is split, and its pieces are its text."""
    assert read_completion(body) == expected
    for chunks in splits(body):
        completion, pieces = read(chunks)
        assert completion == expected
        assert "".join(pieces) == expected.text


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_answer_that_it_streams_however_it_is_split(name: str) -> None:
    check(*STREAMS[name])


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_without_an_end_or_a_believable_count_is_unknown(name: str) -> None:
    body = BROKEN[name]
    assert read_completion(body) == MALFORMED
    for chunks in splits(body) if len(body) < 2000 else ([body], [body[:100_000], body[100_000:]]):
        completion, pieces = read(chunks)
        assert completion == MALFORMED
        assert "fine".startswith("".join(pieces))


def test_each_piece_is_passed_on_before_the_next_one_arrives() -> None:
    told: list[str] = []
    live = LiveAnswer(ChatStream(), told.append)
    for chunk, expected in (
        (said("fi"), "fi"),
        (b"data: {", "fi"),
        (said("n")[7:], "fin"),
        (said("\ud83d"), "fin"),
        (said("\udc4b"), "fin👋"),
        (delta(reasoning="Hm."), "fin👋"),
    ):
        live.take(chunk)
        assert "".join(told) == expected


def test_answer_without_a_stream_is_passed_on_in_one_piece() -> None:
    body = json.dumps({"choices": [{"message": {"content": "fine words"}}], "usage": COUNT}).encode()
    assert read([body[:9], body[9:]])[1] == ["fine words"]


CORPUS = {f"{kind}: {name}": answer for kind, of in (("routing", ROUTING), ("structure", STRUCTURE), ("text", TEXT))
          for name, answer in of.items() if len(answer.attempts[0].text) < 20_000}  # fmt: skip


def test_the_same_answer_is_the_same_completion_streamed_or_not() -> None:
    for name, answer in CORPUS.items():
        text = answer.attempts[0].text
        for message in (
            {"role": "assistant", "content": text},
            {"role": "assistant", "reasoning_content": "Let me see.", "content": text},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": text}, {"type": "text", "text": text}]},
            {"role": "assistant", "content": None, "refusal": text},
        ):
            for finish_reason in ("stop", "length", "content_filter"):
                choice = {"index": 0, "message": message, "finish_reason": finish_reason}
                whole = {"id": "chatcmpl-1", "choices": [choice], "usage": COUNT}
                body = b"".join(events_of(whole))
                middle = len(body) // 2
                expected = read_completion(json.dumps(whole).encode())
                completion, pieces = read([body[:middle], body[middle:]])
                assert completion == expected, name
                assert "".join(pieces) == expected.text


# Bounds


def test_an_answer_of_5_mb_in_short_pieces_is_counted() -> None:
    """Its stream is longer than a body may be."""
    word = said("x" * 49 + " ")
    completion, pieces = read([word * 1000] * 100 + [STOP + COUNTED + DONE])
    assert len(completion.text) == 5_000_000
    assert "".join(pieces) == completion.text
    assert completion.usage == Usage(9, 4)
    assert len(word) * 100_000 > MAX_BODY_BYTES


@pytest.mark.parametrize(
    "chunks",
    [
        [said("x" * 1000) * 1000] * 10,
        [delta(reasoning="x" * 1000) * 1000] * 10,
        [b'data: "', *[b"x" * 1_000_000] * 10, b'"\n\n'],
        [b"data: [\n", *[b'data: "xxxxxxxxxxxxxxxxxxxx",\n' * 50_000] * 10, b"data: 1]\n\n"],
        [b"x" * 1_000_000] * 10,
        [b" " * 1_000_000] * 10,
        [b'data: "', *["字".encode()] * 400_000, *[b"x" * 1_000_000] * 10],
    ],
    ids=["text", "thinking", "an event", "lines of an event", "no stream", "blanks", "an event in characters"],
)
def test_stream_is_kept_up_to_the_size_limit_of_a_body(chunks: list[bytes]) -> None:
    assert read([*chunks, said("fine"), STOP + COUNTED + DONE])[0] == MALFORMED
    live = LiveAnswer(ChatStream(), lambda _: None)
    tracemalloc.start()
    for chunk in chunks:
        live.take(chunk)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 3 * MAX_BODY_BYTES


def test_short_messages_take_the_same_time_after_a_long_text() -> None:
    events = event({"choices": [{"delta": {"content": "x"}, "message": {"content": "x"}}]}) * 2000
    taken = []
    for length in (1000, 4_000_000):
        live = LiveAnswer(ChatStream(), lambda _: None)
        live.take(said("x" * length))
        began = time.thread_time()
        live.take(events)
        taken.append(time.thread_time() - began)
    assert taken[1] < 8 * taken[0]


def test_events_without_text_take_no_memory() -> None:
    live = LiveAnswer(ChatStream(), lambda _: None)
    chunk = b"".join(event({"choices": [], f"member-{n}": n, "object": "x" * 1000}) for n in range(20)) + b": wait\n\n"
    live.take(chunk)
    tracemalloc.start()
    for _ in range(100):
        live.take(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


def test_listener_that_raises_is_called_once_and_the_answer_is_complete(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    def taker(text: str) -> None:
        asked.append(text)
        raise RuntimeError(text)

    live = LiveAnswer(ChatStream(), taker)
    for chunk in (said("fi"), said("ne") + STOP + COUNTED + DONE):
        live.take(chunk)
    completion = read_completion(live.body())
    live.finish(completion)
    assert completion == fine()
    assert asked == ["fi"]
    assert [record.getMessage() for record in caplog.records] == [
        "The text of a call reaches nobody any more (RuntimeError)"
    ]
