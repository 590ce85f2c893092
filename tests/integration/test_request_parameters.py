"""Tests that a parameter that a model refuses is left out of its alias's later requests, and of no other's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shared.catalog import Dialect, Model
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Message, Request
from tests.integration.test_provider_answers import error
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.fake_provider.calls import model, request

pytest_plugins = ["tests.support.fake_provider.fixtures"]

UNSAID = Dialect()
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def asked(dialect: Dialect = UNSAID, **changes: Any) -> Request:
    spoken = replace(model(), dialect=dialect)
    sent: dict[str, Any] = {"model": spoken, "temperature": 0.5, "response_schema": SCHEMA}
    return request(**(sent | changes))


def parameters(fake_provider: FakeProvider) -> list[set[str]]:
    return [set(row.parameters) for row in fake_provider.rows]


ALL = {"max_tokens", "temperature", "response_format", "reasoning_effort"}
THINKS = Dialect(reasoning_effort="high")


@pytest.mark.parametrize(
    ("mood", "sent"),
    [
        (error("This response_format type is unavailable now", type="invalid_request_error"), {"response_format"}),
        (error("Invalid schema for it", param="response_format.json_schema"), {"response_format"}),
        (error("Structured outputs are not supported by this model."), {"response_format"}),
        (error("Unsupported value: 'temperature' does not support 0.5 with this model."), {"temperature"}),
        (error("No.", param="temperature", code="unsupported_value"), {"temperature"}),
        (error("Model m is not supported with this.", param="response_format"), {"response_format"}),
        (error("Unrecognized request argument supplied: reasoning_effort"), {"reasoning_effort"}),
        (
            Mood(
                status=422,
                body=b'{"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}',
            ),
            {"temperature"},
        ),
    ],
)
def test_a_refused_parameter_is_left_out_from_then_on(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood, sent: set[str]
) -> None:
    fake_provider.add(mood)
    refused = openai_compatible.complete(asked(THINKS))
    assert (refused.status, refused.error, refused.adapted) == ("unbilled", "invalid_parameter", True)
    for _ in range(2):
        assert openai_compatible.complete(asked(THINKS)).status == "succeeded"
    assert parameters(fake_provider) == [ALL, ALL - sent, ALL - sent]


@pytest.mark.parametrize(
    ("message", "said", "names"),
    [
        (
            "Unrecognized request argument supplied: max_completion_tokens",
            "max_completion_tokens",
            ["max_completion_tokens", "max_tokens"],
        ),
        (
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            None,
            ["max_tokens", "max_completion_tokens"],
        ),
    ],
)
def test_an_output_cap_is_sent_under_its_other_name(
    fake_provider: FakeProvider,
    openai_compatible: OpenAICompatibleProvider,
    message: str,
    said: Any,
    names: list[str],
) -> None:
    fake_provider.add(error(message))
    dialect = Dialect(max_tokens_parameter=said)
    assert openai_compatible.complete(asked(dialect)).adapted is True
    assert openai_compatible.complete(asked(dialect)).status == "succeeded"
    sent = [{name: row.parameters[name] for name in names if name in row.parameters} for row in fake_provider.rows]
    assert sent == [{names[0]: 256}, {names[1]: 256}]


def test_a_cap_that_is_refused_under_both_names_is_not_asked_again(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(error("Unknown parameter: max_tokens"))
    fake_provider.add(error("Unknown parameter: max_completion_tokens"))
    assert [openai_compatible.complete(asked()).adapted for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "mood",
    [
        error("max_tokens must be positive"),
        error("integer above maximum value: 256", param="max_tokens"),
        error("Unknown parameter: 'seed'.", param="seed", code="unknown_parameter"),
        error("Invalid temperature of messages[0]", param="messages[0]"),
    ],
)
def test_a_refusal_that_would_come_again_changes_nothing(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    refused = openai_compatible.complete(asked(THINKS))
    assert (refused.error, refused.adapted) == ("invalid_parameter", False)
    openai_compatible.complete(asked(THINKS))
    assert parameters(fake_provider) == [ALL, ALL]


def test_a_quotation_of_the_prompt_names_no_parameter(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    prompt = "Tell me how the temperature of the sea changes."
    fake_provider.add(error(f"Bad request: {prompt}"))
    assert openai_compatible.complete(asked(messages=(Message("user", prompt),))).error == "refused"
    openai_compatible.complete(asked())
    assert all("temperature" in sent for sent in parameters(fake_provider))


REMOTE = replace(model(), kind="openai_compatible", dialect=UNSAID)


@pytest.mark.parametrize(
    "mood",
    [
        error("Unrecognized request argument supplied: prompt_cache_key", type="invalid_request_error"),
        error("Extra inputs are not permitted", param="prompt_cache_key", status=422),
        error("property 'prompt_cache_key' is unsupported"),
        error('Invalid JSON payload received. Unknown name "prompt_cache_key": Cannot find field.'),
    ],
)
def test_a_cache_key_that_a_server_refuses_is_left_out_from_then_on(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    asking = asked(model=REMOTE, cache_key="abc", temperature=None, response_schema=None)
    assert openai_compatible.complete(asking).adapted is True
    assert openai_compatible.complete(asking).status == "succeeded"
    sent = [row.parameters for row in fake_provider.rows]
    assert sent == [{"max_tokens": 256, "prompt_cache_key": "abc"}, {"max_tokens": 256}]


@pytest.mark.parametrize(
    "spoken",
    [replace(REMOTE, kind="local"), replace(REMOTE, dialect=Dialect(prompt_cache_key=False))],
    ids=["the local server", "the file says no"],
)
def test_no_cache_key_is_sent_to_a_server_that_takes_none(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, spoken: Model
) -> None:
    openai_compatible.complete(asked(model=spoken, cache_key="abc"))
    assert "prompt_cache_key" not in fake_provider.rows[0].parameters


def test_another_alias_keeps_its_parameters(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(error("Unsupported parameter: 'temperature'"))
    openai_compatible.complete(asked())
    openai_compatible.complete(asked(model=replace(model(), alias="other")))
    assert all("temperature" in sent for sent in parameters(fake_provider))


def test_calls_that_are_refused_together_are_all_adapted(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    refusal = error("Unknown parameter: max_tokens")
    fake_provider.answer_with(lambda received: refusal if "max_tokens" in received.body else None)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(openai_compatible.complete, asked(call_id=f"call-{number}")) for number in range(4)]
    sent = [set(row.parameters) for row in fake_provider.rows]
    refused = [call.result() for call in calls if call.result().error]
    assert {completion.adapted for completion in refused} == {True}
    assert len(refused) == sum("max_tokens" in names for names in sent)


@pytest.mark.parametrize(
    ("dialect", "effort", "expected"),
    [
        (Dialect(), None, None),
        (Dialect(), "low", None),
        (Dialect(thinking=True), None, None),
        (Dialect(thinking=True), "low", "low"),
        (Dialect(reasoning_effort="high"), None, "high"),
        (Dialect(reasoning_effort="high"), "low", "low"),
        (Dialect(reasoning_effort="minimal"), "low", "minimal"),
        (Dialect(reasoning_effort="none"), "low", "none"),
        (Dialect(thinking=False, reasoning_effort="high"), "low", None),
    ],
)
def test_an_effort_is_asked_of_aliases_that_think(
    fake_provider: FakeProvider,
    openai_compatible: OpenAICompatibleProvider,
    dialect: Dialect,
    effort: Any,
    expected: str | None,
) -> None:
    openai_compatible.complete(asked(dialect, effort=effort))
    assert fake_provider.rows[0].parameters.get("reasoning_effort") == expected


def test_the_request_that_is_not_refused_has_what_the_file_says(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.ok("fine"))
    openai_compatible.complete(asked(Dialect(temperature=False, json_schema=False)))
    assert parameters(fake_provider) == [{"max_tokens"}]
