"""Tests real providers' answers over HTTP: each has one meaning for the bill, and one reason."""

import gzip
import json
import logging
import zlib
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.money import Usage
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, Message, Request
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.fake_provider.calls import API_KEY, model, request

pytest_plugins = ["tests.support.fake_provider.fixtures"]

LARGE = replace(model(), context_window=200_000)


def asked(**changes: Any) -> Request:
    return request(**({"model": LARGE} | changes))


def counted(prompt: int, completion: int, total: int | None = None, reasoning: int = 0, cached: int = 0) -> Any:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def body(content: object = "fine", **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": counted(9, 4), **members}, ensure_ascii=False).encode()


def error(message: str = "No.", status: int = 400, headers: Any = None, **members: Any) -> Mood:
    document = {"error": {"message": message, **members}}
    return Mood(status=status, headers=headers or {}, body=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (counted(10120, 1499, 14428, 2809, 128), Usage(9992, 1499, cache_read_tokens=128, reasoning_tokens=2809)),
        (counted(100, 300, 400, 250), Usage(100, 50, reasoning_tokens=250)),
        (counted(100, 300, 650, 250), Usage(100, 300, reasoning_tokens=250)),
        # The count is higher than the sent text, because a call may exceed its reserve.
        (counted(100_000, 5), Usage(100_000, 5)),
    ],
    ids=["reasoning outside", "reasoning inside", "reasoning outside and less", "overrun"],
)
def test_a_count_is_read_by_its_total(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, usage: Any, expected: Usage
) -> None:
    fake_provider.add(moods.ok("fine", usage=usage))
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.text, completion.usage) == ("succeeded", "fine", expected)


@pytest.mark.parametrize(
    "usage",
    [counted(10, 5, 900), counted(0, 0, 0), counted(10, 0), counted(10, 5, 15, 6), counted(10, 5, 15, 0, 11)],
    ids=["no sum", "zero", "zero for the text", "more reasoning than output", "more cached than sent"],
)
def test_a_count_that_contradicts_itself_is_unknown(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, usage: Any
) -> None:
    fake_provider.add(moods.ok("fine words", usage=usage))
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")


@pytest.mark.parametrize(
    "mood",
    [
        Mood(body=gzip.compress(body()), headers={"Content-Encoding": "gzip"}),
        Mood(body=gzip.compress(body())),
        Mood(body=zlib.compress(body()), headers={"Content-Encoding": "deflate"}),
        Mood(body=b"\xef\xbb\xbf" + body()),
        Mood(body=body() + b"\n\ndata: [DONE]\n\n"),
        Mood(body=b"data: " + body() + b"\n\ndata: [DONE]\n\n", headers={"Content-Type": "text/event-stream"}),
        Mood(body=body([{"type": "output_text", "text": "fine", "annotations": []}])),
        Mood(body=body([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "fine"}])),
        Mood(body=body().decode().encode("utf-16"), headers={"Content-Type": "application/json; charset=utf-16"}),
    ],
    ids=["gzip", "gzip unsaid", "deflate", "mark", "done", "events", "parts", "thinking", "utf-16"],
)
def test_an_answer_is_read_in_whatever_form_it_comes(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error, completion.text) == ("succeeded", None, "fine")
    assert completion.usage == Usage(9, 4)


HALF = {"message": {"content": "Half of an ans"}, "finish_reason": "error", "error": {"code": 502, "message": "up"}}


def test_half_an_answer_is_billed_and_is_no_reply(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(Mood(body=body(choices=[HALF])))
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error, completion.usage) == ("succeeded", "provider_error", Usage(9, 4))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": {"message": "Rate limit reached", "code": 429}}, ("unbilled", "throttled")),
        ({"error": {"message": "Rate limit reached", "code": "429"}}, ("unbilled", "throttled")),
        ({"error": {"message": "Slow down", "type": "rate_limit_error"}}, ("unbilled", "throttled")),
        ({"error": {"message": "No.", "status": 401}}, ("unbilled", "provider_unauthorized")),
        ({"error": {"code": "insufficient_quota"}, "usage": counted(0, 0)}, ("unbilled", "provider_quota")),
        ({"object": "error", "message": "prompt is too long", "code": 400}, ("unbilled", "context_overflow")),
        ([{"error": {"message": "No.", "code": 404}}], ("unbilled", "model_unavailable")),
        ({"error": {"message": "No.", "code": 502}}, ("unknown", "provider_error")),
        ({"error": {"message": "No.", "type": "overloaded_error"}}, ("unknown", "provider_error")),
        ({"error": {"message": "No."}}, ("unknown", "malformed_response")),
        ({"error": {"message": "No.", "code": 200}}, ("unknown", "malformed_response")),
        ({"error": {"message": "Late.", "code": 429}, "usage": counted(9, 4)}, ("succeeded", "provider_error")),
    ],
)
def test_an_error_in_a_200_has_the_meaning_of_the_status_that_it_names(
    fake_provider: FakeProvider,
    openai_compatible: OpenAICompatibleProvider,
    document: object,
    expected: tuple[str, str],
) -> None:
    fake_provider.add(moods.raw(document))
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error) == expected


REFUSALS: list[tuple[Mood, str]] = [
    (error(status=401), "provider_unauthorized"),
    (error(status=403), "provider_unauthorized"),
    (error("API key not valid. Please pass a valid API key.", code="API_KEY_INVALID"), "provider_unauthorized"),
    (error(status=402), "provider_quota"),
    (error("You exceeded your current quota.", 429, code="insufficient_quota"), "provider_quota"),
    (error("You exceeded your current quota, check your billing.", 429), "provider_quota"),
    (error("You exceeded your current quota. Please retry in 7s.", 429), "throttled"),
    (error("You exceeded your current quota.", 429, {"Retry-After": "7"}), "throttled"),
    (error("Your credit balance is too low to access the API."), "provider_quota"),
    (error("This request requires more credits, or fewer max_tokens.", 403), "provider_quota"),
    (error("The model does not exist", 404, code="model_not_found"), "model_unavailable"),
    (error("gone/model is not a valid model ID"), "model_unavailable"),
    (error("The model `old` has been decommissioned.", code="model_decommissioned"), "model_unavailable"),
    (error("You don't have access to the model with the specified model ID.", 403), "model_unavailable"),
    (Mood(status=404, body=b'{"error": "model \\"m\\" not found, try pulling it first"}'), "model_unavailable"),
    (Mood(status=404, body=b"<h1>Not Found</h1>"), "model_unavailable"),
    (error("The response was filtered.", code="content_filter"), "content_filtered"),
    (error("Your input was flagged", 403, metadata={"reasons": ["violence"]}), "content_filtered"),
    (error("No.", innererror={"code": "ResponsibleAIPolicyViolation"}), "content_filtered"),
    (error("Content Exists Risk"), "content_filtered"),
    (error("Request too large. Please reduce your message size.", 413, code="rate_limit_exceeded"), "context_overflow"),
    (Mood(status=413, body=b"<h1>413 Request Entity Too Large</h1>"), "context_overflow"),
    (error("Provider returned error", metadata={"raw": '{"message": "prompt is too long"}'}), "context_overflow"),
    (error("Invalid value: 'robot'.", param="messages[0].role"), "invalid_parameter"),
    (error("Unrecognized request argument supplied: seed"), "invalid_parameter"),
    (error("Bad request."), "refused"),
    (Mood(status=422, body=b"[" * 70_000), "refused"),
    (Mood(status=400, body=gzip.compress(b'{"error": {"message": "prompt is too long"}}')), "context_overflow"),
]


@pytest.mark.parametrize(("mood", "expected"), REFUSALS)
def test_a_refusal_is_unbilled_and_says_why(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood, expected: str
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error) == ("unbilled", expected)
    assert completion.usage == Usage()
    assert len(fake_provider.rows) == 1


@pytest.mark.parametrize(
    ("message", "window"),
    [
        ("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", 131040),
        ("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)", 131072),
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_overflow_names_the_window(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, message: str, window: int, status: int
) -> None:
    fake_provider.add(error(message, status))
    completion = openai_compatible.complete(asked())
    assert (completion.error, completion.context_window) == ("context_overflow", window)


def test_thinking_that_used_up_the_cap_names_the_cap_and_the_setting(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.ok("", usage=counted(20, 256, 276, 256), finish_reason="length"))
    completion = openai_compatible.complete(asked())
    assert (completion.status, completion.error) == ("succeeded", "thinking_only")
    assert completion.usage == Usage(20, 0, reasoning_tokens=256)
    assert completion.provider_message == (
        "All 256 output tokens went into thinking (cap: 256). Raise max_output_tokens of the agent and of "
        "[aliases.fast], or lower its thinking."
    )


def test_a_providers_words_reach_the_log_without_key_and_prompt(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    prompt = "Nobody but the provider may read this sentence."
    told = f"Key {API_KEY} may not ask {prompt!r} of models.\nUse another one."
    fake_provider.add(error(told, 401))
    completion = openai_compatible.complete(asked(messages=(Message("user", prompt),)))
    (record,) = (record for record in caplog.records if record.name == "shared.llm.exchange")
    said = getattr(record, "provider_message", "")
    assert said == completion.provider_message
    assert "of models. Use another one." in said
    for secret in (API_KEY, "not-for", "the provider may", "this sentence"):
        assert secret not in said


def test_a_completion_without_an_error_has_no_message(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.ok("fine", usage=counted(9, 4)))
    assert openai_compatible.complete(asked()) == Completion(
        "succeeded", "fine", "end_turn", Usage(9, 4), provider_request_id=fake_provider.rows[0].request_id
    )
