"""Tests streamed answers over HTTP: the text is told piece by piece, and the outcome equals that of a whole answer."""

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.money import Usage
from shared.llm import wire
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, storable
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.fake_provider.calls import LIMIT_S, STUCK_S, complete, complete_live, request, wait_until
from tests.support.fake_provider.streamed import DONE, event
from tests.support.streamed_answers import COUNTED, STOP, STREAMED, STREAMS, UNSTREAMED, asked_for, delta, said

pytest_plugins = ["tests.support.fake_provider.fixtures"]

FINE = said("fi") + said("ne") + STOP + COUNTED + DONE


def test_a_stream_is_asked_for_only_where_the_text_is_wanted(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    completion, pieces = complete_live(openai_compatible)
    assert "".join(pieces) == completion.text == "You said: hello there"
    assert replace(openai_compatible.complete(request()), provider_request_id=None) == replace(
        completion, provider_request_id=None
    )
    assert asked_for(fake_provider.rows) == [STREAMED, UNSTREAMED]
    assert completion.provider_request_id == fake_provider.rows[0].request_id


def test_each_piece_is_told_before_the_next_one_is_sent(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(
        moods.streamed(said("One "), delta(reasoning="Hm."), said("two."), STOP, COUNTED, DONE, stepped=True)
    )
    pieces: list[str] = []
    outcomes: list[Completion] = []
    call = threading.Thread(target=lambda: outcomes.append(openai_compatible.complete(request(), pieces.append)))
    call.start()
    fake_provider.wait_for_requests(1)
    assert pieces == []
    fake_provider.step()
    wait_until(lambda: pieces == ["One "])
    fake_provider.step(2)
    wait_until(lambda: pieces == ["One ", "two."])
    assert not outcomes
    fake_provider.step(3)
    call.join()
    assert (outcomes[0].text, outcomes[0].thinking, outcomes[0].usage) == ("One two.", "Hm.", Usage(9, 4))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_over_http(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, name: str
) -> None:
    body, expected = STREAMS[name]
    fake_provider.add(moods.streamed(*(body[start : start + 7] for start in range(0, len(body), 7))))
    completion, pieces = complete_live(openai_compatible)
    assert replace(completion, provider_request_id=None, provider_message=None) == expected
    assert "".join(pieces) == expected.text


BROKEN_OFF = {"error": {"message": "upstream is gone", "code": 502}}
MOODS: list[Mood] = [
    *(make() for make in (moods.ok, moods.empty, moods.invalid_utf8, moods.nul, moods.raw_nul, moods.lone_surrogate)),
    *(make() for make in (moods.length, moods.content_filter, moods.refusal, moods.no_usage, moods.html_200)),
    *(make() for make in (moods.huge, moods.ok_then_close, moods.cut_short, moods.too_long)),
    moods.ok(message={"role": "assistant", "content": "So.", "reasoning_content": "Let me see."}),
    moods.ok(message={"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}]}),
    moods.ok(message={"role": "assistant", "content": [{"type": "output_text", "text": "So."}]}),
    moods.ok(message={"role": "assistant", "content": None, "reasoning": "Hm"}, finish_reason="length"),
    moods.ok("Half of", finish_reason="error"),
    moods.ok("So.", usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 99}),
    moods.ok("So.", usage={"prompt_tokens": 0, "completion_tokens": 0}),
    moods.ok("So.", usage={"prompt_tokens": 9, "completion_tokens": 10**9}),
    moods.raw({"error": {"message": "Slow down.", "code": 429}}),
    moods.raw({"choices": [{"message": {"content": "Half"}}], **BROKEN_OFF}),
    moods.status(500),
    moods.status(429, retry_after=7),
    moods.status(201),
    Mood(body=FINE),
    Mood(body=gzip.compress(FINE), headers={"Content-Encoding": "gzip"}),
    Mood(body=gzip.compress(FINE), headers={"Content-Type": "text/event-stream"}),
    Mood(body=said("Half") + event(BROKEN_OFF)),
    Mood(body=event({"error": {"message": "Slow down.", "code": 429}})),
    Mood(body=event({"object": "error", "message": "Slow down.", "code": 429})),
]


@pytest.mark.parametrize("mood", MOODS)
def test_the_outcome_is_the_same_without_a_stream(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood, times=2)
    whole = complete(openai_compatible, request())
    if mood.delivery == "then_close":
        wait_until(lambda: fake_provider.open_connections == 0)
    completion, pieces = complete_live(openai_compatible)
    assert asked_for(fake_provider.rows) == [UNSTREAMED, STREAMED]
    assert replace(completion, provider_request_id=None) == replace(whole, provider_request_id=None)
    ids = [row.request_id if whole.provider_request_id else None for row in fake_provider.rows]
    assert [whole.provider_request_id, completion.provider_request_id] == ids
    text = "".join(pieces)
    assert text == storable(text)
    if completion.status == "succeeded":
        assert text == completion.text


def test_an_answer_of_5_mb_keeps_its_count(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    text = "y" * 5_000_000
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    events = [said(text[:50]) * 1000] * 100
    for mood in (moods.ok(text, usage=usage), moods.streamed(*events, STOP, COUNTED, DONE)):
        fake_provider.add(mood)
        completion, pieces = complete_live(openai_compatible)
        assert (completion.status, completion.usage) == ("succeeded", Usage(9, 4))
        assert "".join(pieces) == completion.text == text


# Interrupted streams


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (BROKEN_OFF, "upstream is gone"),
        ({"error": {"message": "Slow down.", "code": 429}}, "Slow down."),
        ({"error": "No."}, "No."),
        ({"object": "error", "message": "No.", "code": 400}, "No."),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "No."}}]}, "No."),
    ],
)
def test_an_error_in_mid_stream_is_unknown_and_says_why(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, document: object, message: str
) -> None:
    fake_provider.add(moods.streamed(said("Half "), said("of"), event(document), DONE))
    completion, pieces = complete_live(openai_compatible)
    assert (completion.status, completion.error) == ("unknown", "provider_error")
    assert completion.provider_message == message
    assert "".join(pieces) == "Half of"
    # It says nothing about streams.
    assert complete_live(openai_compatible)[0].status == "succeeded"
    assert asked_for(fake_provider.rows) == [STREAMED] * 2


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 9, "completion_tokens": 4}], ids=["no count", "a count"])
def test_an_error_in_mid_stream_is_counted_if_it_has_a_count(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, usage: dict[str, int]
) -> None:
    fake_provider.add(moods.streamed(said("Half"), event({**BROKEN_OFF, "usage": usage})))
    completion, _ = complete_live(openai_compatible)
    expected = ("succeeded", "provider_error", Usage(9, 4)) if usage else ("unknown", "provider_error", Usage())
    assert (completion.status, completion.error, completion.usage) == expected


@pytest.mark.parametrize("parts", [[said("Half")], [said("Half"), STOP, COUNTED], [said("Half"), STOP, DONE]])
def test_a_cut_before_the_end_is_unknown(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, parts: list[bytes]
) -> None:
    fake_provider.add(moods.streamed(*parts, delivery="cut_short"))
    completion, pieces = complete_live(openai_compatible)
    assert (completion.status, completion.error, pieces) == ("unknown", "connection_lost", ["Half"])
    assert complete_live(openai_compatible)[0].status == "succeeded"
    assert asked_for(fake_provider.rows) == [STREAMED] * 2


@pytest.mark.parametrize("delivery", ["cut_short", "stay_open"])
def test_a_cut_behind_the_end_changes_nothing(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, delivery: Any
) -> None:
    fake_provider.add(moods.streamed(FINE, delivery=delivery))
    completion, pieces = complete_live(openai_compatible, request(LIMIT_S))
    assert (completion.status, completion.text, completion.usage) == ("succeeded", "fine", Usage(9, 4))
    assert "".join(pieces) == "fine"


def test_a_connection_that_stays_open_behind_the_end_is_left(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "END_S", 0.1)
    fake_provider.add(moods.streamed(FINE, delivery="stay_open"))
    started = time.monotonic()
    completion, _ = complete_live(openai_compatible, request(STUCK_S))
    assert (completion.status, completion.text) == ("succeeded", "fine")
    assert time.monotonic() - started < 2
    assert complete_live(openai_compatible)[0].status == "succeeded"


@pytest.mark.parametrize(
    "mood",
    [
        moods.streamed(said("Half"), delivery="stay_open"),
        moods.streamed(FINE, stepped=True),
        moods.trickle_body(),
        moods.trickle_body(0.0),
    ],
    ids=["silent", "silent from the start", "keep-alives", "events without end"],
)
def test_the_deadline_ends_a_stream(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    started = time.monotonic()
    completion, _ = complete_live(openai_compatible, request(LIMIT_S))
    assert (completion.status, completion.error) == ("unknown", "timeout")
    assert LIMIT_S <= time.monotonic() - started < LIMIT_S + 0.5


def test_a_taker_that_raises_does_not_change_the_outcome(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    def broken(_text: str) -> None:
        raise OSError

    for mood in (moods.streamed(FINE), Mood(body=FINE), moods.ok("fine")):
        fake_provider.add(mood)
        completion = complete(openai_compatible, request(), broken)
        assert (completion.status, completion.text) == ("succeeded", "fine")


def test_calls_in_several_threads_keep_their_texts_apart(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    results: dict[int, tuple[Completion, list[str]]] = {}

    def call(number: int) -> Callable[[], None]:
        messages = (*request().messages[:1], replace(request().messages[1], text=f"number {number} " * 20))
        return lambda: results.__setitem__(number, complete_live(openai_compatible, request(messages=messages)))

    threads = [threading.Thread(target=call(number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (completion, pieces) in results.items():
        assert "".join(pieces) == completion.text
        assert completion.text.startswith(f"You said: number {number} ")
    assert len(results) == 8
