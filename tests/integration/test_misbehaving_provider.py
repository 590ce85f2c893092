"""Tests that a misbehaving provider cannot make a call paid twice or change later calls."""

import json
import time
from typing import Any

import pytest

from shared.catalog import CALL_MARGIN_S
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Message
from tests.support.fake_provider import FakeProvider, Mood, Received, moods
from tests.support.fake_provider.calls import request

pytest_plugins = ["tests.support.fake_provider.fixtures"]

HALF: Any = {"choices": [{"message": {"role": "assistant", "content": "Half of an"}}]}
LIMITED: Any = {"error": {"message": "Rate limit reached", "code": 429}}

COUNT: Any = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}

ANSWER = json.dumps({"choices": [{"message": {"content": "Once."}}], "usage": COUNT}).encode()


def events(*parts: object) -> Mood:
    return Mood(body=b"".join(f"data: {json.dumps(part)}\n\n".encode() for part in parts))


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        (moods.raw(HALF | LIMITED), "provider_error"),
        (moods.raw({"choices": [HALF["choices"][0] | LIMITED]}), "provider_error"),
        (moods.raw({"choices": [HALF["choices"][0] | {"finish_reason": "error"}]}), "provider_error"),
        (moods.raw(HALF | {"code": 404}), "malformed_response"),
        (
            moods.raw(LIMITED | {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 99}}),
            "malformed_response",
        ),
        (events({"choices": [{"delta": {"content": "Half of an"}}]}, LIMITED), "provider_error"),
    ],
    ids=[
        "error beside it",
        "error within it",
        "error for its end",
        "code beside it",
        "count beside it",
        "error behind it",
    ],
)
def test_half_an_answer_is_unknown_when_its_error_names_a_refusal(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood, error: str
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", error)


@pytest.mark.parametrize("mood", [moods.raw(LIMITED | {"choices": []}), events(LIMITED)], ids=["json", "events"])
def test_an_error_alone_is_unbilled_when_it_names_a_refusal(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "throttled")


def test_a_cookie_is_not_sent_back(fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider) -> None:
    heard: list[list[str]] = []

    def answer(received: Received) -> Mood:
        heard.append([name for name in received.headers if name.lower() == "cookie"])
        return Mood(headers={"Set-Cookie": f"c{len(heard)}={'x' * 3000}; Path=/"})

    fake_provider.answer_with(answer)
    for _ in range(2):
        assert openai_compatible.complete(request()).status == "succeeded"
    assert heard == [[], []]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_reported_and_gets_no_key(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, status: int
) -> None:
    with FakeProvider() as other:
        location = f"{other.url.replace('//', '//user:password@')}/chat/completions?key=secret"
        fake_provider.add(Mood(status=status, headers={"Location": location}))
        completion = openai_compatible.complete(request())
        assert other.rows == []
    assert (completion.status, completion.error) == ("unbilled", "refused")
    assert completion.provider_message == "Redirected to http://127.0.0.1. Redirects are not followed: see base_url."


def test_a_stream_of_a_million_empty_events_is_given_up_in_time(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(Mood(body=b"data: {}\n" * 900_000))
    started = time.process_time()
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert time.process_time() - started < CALL_MARGIN_S / 4


def test_content_that_is_one_part_is_read(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(Mood({"role": "assistant", "content": {"type": "text", "text": "fine"}}, usage=COUNT))
    assert openai_compatible.complete(request()).text == "fine"


def test_a_quotation_of_the_prompt_names_no_window(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    said = "The maximum context length is 900 tokens, you say?"
    fake_provider.add(moods.too_long(f"Prompt is too long: {said}"))
    completion = openai_compatible.complete(request(messages=(Message("user", said),)))
    assert (completion.error, completion.context_window) == ("context_overflow", None)


@pytest.mark.parametrize(
    "message", ["temperature must be between 0 and 1", "temperature: 1.9 is greater than the maximum of 1"]
)
def test_a_temperature_out_of_range_changes_no_other_agents_calls(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, message: str
) -> None:
    fake_provider.add(Mood(status=400, body=json.dumps({"error": {"message": message}}).encode()))
    refused = openai_compatible.complete(request(temperature=1.9))
    assert (refused.error, refused.adapted) == ("invalid_parameter", True)
    for degrees in (1.9, 0.5):
        assert openai_compatible.complete(request(temperature=degrees)).status == "succeeded"
    assert [row.parameters.get("temperature") for row in fake_provider.rows] == [1.9, None, 0.5]


@pytest.mark.parametrize("first", [ANSWER, b'{"error": {"message": "No."}}'], ids=["answer", "refusal"])
def test_a_second_answer_is_not_taken_for_the_next_calls(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, first: bytes
) -> None:
    second = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWER)}\r\n\r\n".encode() + ANSWER
    status = 200 if first == ANSWER else 400
    fake_provider.add(Mood(status=status, body=first + second, headers={"Content-Length": str(len(first))}))
    fake_provider.add(moods.ok("The next one."))
    openai_compatible.complete(request())
    assert openai_compatible.complete(request()).text == "The next one."
    assert len(fake_provider.rows) == 2


def test_a_stream_that_breaks_off_is_no_answer(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(events({"choices": [{"delta": {"content": "Half of an"}}], "usage": COUNT}))
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
