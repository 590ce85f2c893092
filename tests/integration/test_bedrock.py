"""Tests the meaning of Bedrock's answers, and that secrets and text stay out of logs."""

import contextlib
import logging
from dataclasses import replace

import pytest

from shared.catalog import Dialect, build
from shared.domain.money import Usage
from shared.llm import providers
from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Message
from shared.settings import StageSettings
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.calls import complete, request
from tests.support.fake_bedrock.environment import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tests.support.fake_bedrock.moods import exception, thinking
from tests.support.fake_provider import Mood, moods
from tests.support.fake_provider.calls import LIMIT_S, settings

pytest_plugins = ["tests.support.fake_bedrock.fixtures"]

# Answers


@pytest.mark.parametrize(
    ("mood", "text", "stop_reason"),
    [
        (moods.empty(), "", "end_turn"),
        (moods.ok(message={"content": []}), "", "end_turn"),
        (moods.ok(message={"content": "no blocks"}), "no blocks", "end_turn"),
        (thinking("So."), "So.", "end_turn"),
        (moods.invalid_utf8(), "caf\ufffd \ufffd\ufffd!", "end_turn"),
        (moods.nul(), "before\ufffdafter", "end_turn"),
        (moods.raw_nul(), "before\ufffdafter", "end_turn"),
        (moods.lone_surrogate(), "before\ufffdafter", "end_turn"),
        (moods.length("cut in the"), "cut in the", "max_tokens"),
        (moods.ok("cut in the", finish_reason="model_context_window_exceeded"), "cut in the", "max_tokens"),
        (moods.content_filter(), "", "content_filtered"),
        (moods.ok("No.", finish_reason="guardrail_intervened"), "No.", "content_filtered"),
        (moods.ok("No.", finish_reason="refusal"), "No.", "content_filtered"),
        *(
            (moods.ok("So.", finish_reason=reason), "So.", reason)
            for reason in (
                "stop_sequence",
                "tool_use",
                "malformed_model_output",
                "malformed_tool_use",
                "a_new_one",
            )
        ),
    ],
)
def test_a_counted_200_succeeded_whatever_its_text(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, mood: Mood, text: str, stop_reason: str
) -> None:
    fake_bedrock.add(mood)
    completion = bedrock.complete(request())
    (row,) = fake_bedrock.rows
    assert row.usage is not None
    assert (completion.status, completion.error) == ("succeeded", None)
    assert (completion.text, completion.stop_reason) == (text, stop_reason)
    assert completion.usage == Usage(row.usage["inputTokens"], row.usage["outputTokens"])


def test_thinking_is_read_apart_from_the_text(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    redacted = {"reasoningContent": {"redactedContent": "AAAA"}}
    fake_bedrock.add(thinking("So."))
    fake_bedrock.add(moods.ok(message={"content": [redacted, {"text": "So."}]}))
    completions = [bedrock.complete(request()) for _ in range(2)]
    assert [(each.text, each.thinking) for each in completions] == [("So.", "Let me see."), ("So.", None)]


def test_cache_reads_and_writes_are_counted_separately(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    details = [{"ttl": "1h", "inputTokens": 2}, {"ttl": "5m", "inputTokens": 1}]
    cached = {"cacheReadInputTokens": 7, "cacheWriteInputTokens": 3, "cacheDetails": details}
    fake_bedrock.add(moods.ok("So.", usage={"inputTokens": 5, "outputTokens": 2, "totalTokens": 17, **cached}))
    usage = bedrock.complete(request()).usage
    assert usage == Usage(5, 2, cache_read_tokens=7, cache_write_tokens=3, cache_write_1h_tokens=2)


@pytest.mark.parametrize("total", [7, 17])
def test_total_may_include_the_cache_tokens_or_not(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, total: int
) -> None:
    counts = {"inputTokens": 5, "outputTokens": 2, "totalTokens": total, "cacheReadInputTokens": 10}
    fake_bedrock.add(moods.ok("So.", usage=counts))
    assert bedrock.complete(request()).usage == Usage(5, 2, cache_read_tokens=10)


def test_thinking_that_used_up_the_cap_is_named(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(replace(thinking(""), finish_reason="length", usage={"inputTokens": 5, "outputTokens": 256}))
    completion = bedrock.complete(request())
    assert (completion.status, completion.error) == ("succeeded", "thinking_only")
    assert "All 256 output tokens went into thinking" in (completion.provider_message or "")


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("The model returned the following errors: temperature is deprecated for this model.", "temperature"),
        ("This model doesn't support the outputConfig.textFormat field.", "outputConfig"),
        ("This model does not support thinking.type disabled.", "additionalModelRequestFields"),
    ],
)
def test_a_parameter_that_is_refused_is_left_out_from_then_on(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, message: str, part: str
) -> None:
    fake_bedrock.add(moods.too_long(message))
    dialect = Dialect(thinking=False)
    asked = request(temperature=0.5, response_schema={"type": "object", "properties": {}})
    asked = replace(asked, model=replace(asked.model, dialect=dialect))
    refused = bedrock.complete(asked)
    assert (refused.status, refused.error, refused.adapted) == ("unbilled", "invalid_parameter", True)
    assert bedrock.complete(asked).status == "succeeded"
    first, second = (row.parameters.keys() | row.parameters["inferenceConfig"].keys() for row in fake_bedrock.rows)
    assert first - second == {part}


@pytest.mark.parametrize("status", [400, 403])
def test_cache_points_that_a_model_refuses_are_left_out_from_then_on(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, status: int
) -> None:
    words = "You invoked an unsupported model or your request did not allow prompt caching. See the documentation."
    fake_bedrock.add(replace(moods.too_long(words), status=status))
    asked = request(messages=(Message("system", "x" * 4000), Message("user", "hello there")), continues=True)
    refused = bedrock.complete(asked)
    assert (refused.status, refused.error, refused.adapted) == ("unbilled", "invalid_parameter", True)
    assert bedrock.complete(asked).status == "succeeded"
    points = [str((row.messages, row.parameters)).count("cachePoint") for row in fake_bedrock.rows]
    assert points == [2, 0]


def test_missing_right_leaves_out_no_parameter(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    messages = (Message("system", "x" * 13_000), Message("user", "hello there"))
    asked = request("strict", messages=messages, temperature=0.5)
    for words in ("You are not authorized.", "You may not set the temperature."):
        fake_bedrock.add(replace(moods.too_long(words), status=403))
        assert bedrock.complete(asked).error == "provider_unauthorized"
    assert str(fake_bedrock.rows[-1].parameters).count("cachePoint") == 1


COUNTS = {"inputTokens": 5, "outputTokens": 2}


@pytest.mark.parametrize(
    "mood",
    [
        moods.no_usage(),
        moods.html_200(),
        moods.huge(),
        moods.raw([COUNTS]),
        *(
            moods.ok("So.", usage=COUNTS | wrong)
            for wrong in (
                {"inputTokens": -1},
                {"inputTokens": True},
                {"inputTokens": None},
                {"outputTokens": "2"},
                {"outputTokens": 2.0},
                {"outputTokens": 2**63},
                {"outputTokens": 10**9},
                {"cacheReadInputTokens": -1},
                {"cacheWriteInputTokens": "3"},
                {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "1h", "inputTokens": 4}]},
                {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "1h", "inputTokens": True}]},
                {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "24h", "inputTokens": 3}]},
                {"totalTokens": 900},
                {"totalTokens": 11, "cacheReadInputTokens": 3},
                {"outputTokens": 0, "totalTokens": 5},
                {"inputTokens": 0, "totalTokens": 2},
            )
        ),
        moods.ok("So.", usage={"inputTokens": 5}),
        moods.status(201),
        moods.status(206),
    ],
)
def test_a_2xx_that_cannot_be_counted_is_unknown(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, mood: Mood
) -> None:
    fake_bedrock.add(mood)
    completion = bedrock.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert completion.provider_request_id == fake_bedrock.rows[0].request_id
    assert len(fake_bedrock.rows) == 1


@pytest.mark.parametrize(
    ("name", "code", "status", "error"),
    [
        ("ValidationException", 400, "unbilled", "refused"),
        ("ServiceQuotaExceededException", 400, "unbilled", "provider_quota"),
        ("AccessDeniedException", 403, "unbilled", "provider_unauthorized"),
        ("ExpiredTokenException", 403, "unbilled", "provider_unauthorized"),
        ("ExpiredTokenException", 400, "unbilled", "provider_unauthorized"),
        ("ResourceNotFoundException", 404, "unbilled", "model_unavailable"),
        ("ThrottlingException", 429, "unbilled", "throttled"),
        ("ModelNotReadyException", 429, "unbilled", "throttled"),
        ("ModelTimeoutException", 408, "unknown", "provider_error"),
        ("ModelErrorException", 424, "unknown", "provider_error"),
        ("InternalServerException", 500, "unknown", "provider_error"),
        ("ServiceUnavailableException", 503, "unknown", "provider_error"),
        ("Gateway", 504, "unknown", "provider_error"),
        ("Redirected", 307, "unbilled", "refused"),
    ],
)
def test_exception_is_classified_by_its_status_and_not_retried(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, name: str, code: int, status: str, error: str
) -> None:
    fake_bedrock.add(exception(name, code), times=None)
    completion = bedrock.complete(request())
    assert (completion.status, completion.error) == (status, error)
    assert completion.provider_request_id == fake_bedrock.rows[0].request_id
    assert completion.usage == Usage()
    assert len(fake_bedrock.rows) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
    ],
)
def test_prompt_that_is_too_long_has_a_reason_of_its_own(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, message: str
) -> None:
    fake_bedrock.add(moods.too_long(message))
    completion = bedrock.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "context_overflow")


def test_throttling_may_name_the_time_of_a_retry(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(moods.status(429, retry_after=7))
    assert bedrock.complete(request()).retry_after_s == 7.0


def test_the_body_of_an_exception_is_not_waited_for(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(Mood(status=400, delivery="trickle_body", seconds=0.05))
    assert complete(bedrock, request(max_call_s=LIMIT_S)).error == "refused"


# Settings, secrets and text


def test_settings_choose_it_and_name_its_stage(fake_bedrock: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "stage_settings", lambda: StageSettings.model_validate({"PANTHEON_STAGE": "prod"}))
    chosen = providers.connect(build(settings("bedrock")))
    provider = chosen.clients["bedrock"]
    assert isinstance(provider, BedrockProvider)
    with contextlib.closing(provider):
        chosen.complete(request())
    assert fake_bedrock.rows[0].parameters["requestMetadata"]["stage"] == "prod"


@pytest.mark.parametrize("mood", [moods.ok("a reply"), moods.status(500), moods.close_without_answer()])
def test_no_log_line_has_key_prompt_or_reply(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, caplog: pytest.LogCaptureFixture, mood: Mood
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    fake_bedrock.add(mood)
    complete(bedrock, request())
    assert len(fake_bedrock.rows) == 1
    for secret in (SECRET_ACCESS_KEY, ACCESS_KEY_ID, "Signature=", "hello there", "a reply", "You are the Writer"):
        assert secret not in caplog.text


def test_a_call_that_did_not_succeed_is_logged_with_its_id(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bedrock.add(exception("InternalServerException", 500))
    bedrock.complete(request(call_id="call-7"))
    bedrock.complete(request(call_id="call-8"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("shared")] == [
        "Call call-7 is unknown: provider_error (status 500)"
    ]
