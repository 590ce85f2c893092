"""A provider that misbehaves can neither have a call paid for twice nor change the calls that come later."""

import json
from typing import Any

import pytest

from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.fake_provider import FakeProvider, Mood, moods
from tests.fake_provider.calls import request

pytest_plugins = ["tests.fake_provider.fixtures"]

HALF: Any = {"choices": [{"message": {"role": "assistant", "content": "Half of an"}}]}
LIMITED: Any = {"error": {"message": "Rate limit reached", "code": 429}}


def events(*parts: object) -> Mood:
    return Mood(body=b"".join(f"data: {json.dumps(part)}\n\n".encode() for part in parts))


@pytest.mark.parametrize(
    "mood",
    [
        moods.raw(HALF | LIMITED),
        moods.raw(HALF | {"code": 404}),
        moods.raw(LIMITED | {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 99}}),
        events({"choices": [{"delta": {"content": "Half of an"}}]}, LIMITED),
    ],
    ids=["error beside it", "code beside it", "count beside it", "error behind it"],
)
def test_half_an_answer_is_unknown_when_its_error_names_a_refusal(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")


@pytest.mark.parametrize("mood", [moods.raw(LIMITED | {"choices": []}), events(LIMITED)], ids=["json", "events"])
def test_an_error_alone_is_unbilled_when_it_names_a_refusal(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "throttled")
