"""Tests ConverseStream over HTTP: the text is told piece by piece, and the outcome equals that of Converse."""

import json
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.catalog import Dialect
from shared.domain.money import Usage
from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Completion, storable
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.calls import complete, complete_live, request
from tests.support.fake_bedrock.environment import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from tests.support.fake_bedrock.frames import event, exception, text
from tests.support.fake_bedrock.moods import exception as refusal
from tests.support.fake_bedrock.moods import streamed, thinking
from tests.support.fake_provider import Mood, Received, moods
from tests.support.fake_provider.calls import LIMIT_S, wait_until

pytest_plugins = ["tests.support.fake_bedrock.fixtures"]

PROFILE = "/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0"
STOP = event("messageStop", {"stopReason": "end_turn"})
COUNTED = event("metadata", {"usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}})


def operations(server: FakeBedrock) -> list[str]:
    return [row.path.rpartition("/")[2] for row in server.rows]


def test_a_stream_is_asked_for_only_where_the_text_is_wanted(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider
) -> None:
    asked = request("strict", temperature=0.5)
    completion, pieces = complete_live(bedrock, asked)
    whole = bedrock.complete(asked)
    assert "".join(pieces) == completion.text == "You said: hello there"
    assert replace(whole, provider_request_id=None) == replace(completion, provider_request_id=None)
    live, plain = fake_bedrock.rows
    assert (live.path, plain.path) == (f"{PROFILE}/converse-stream", f"{PROFILE}/converse")
    assert (live.messages, live.parameters) == (plain.messages, plain.parameters)
    assert completion.provider_request_id == live.request_id


def test_the_request_that_arrives_is_the_one_that_was_signed(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider
) -> None:
    arrived: list[Received] = []
    fake_bedrock.answer_with(arrived.append)
    complete_live(bedrock, request("strict"))
    headers, path = arrived[0].headers, arrived[0].path
    signed = re.search("SignedHeaders=([^,]+)", headers["Authorization"])
    assert signed is not None
    names = {name: value for name, value in headers.items() if name.lower() in signed[1].split(";")}
    again = AWSRequest("POST", f"http://{headers['Host']}{path}", names, json.dumps(arrived[0].body).encode())
    again.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), "bedrock", REGION)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert headers["Authorization"].endswith(f"Signature={signature}")


def test_each_piece_is_told_before_the_next_one_is_sent(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    thought = event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Hm."}}})
    fake_bedrock.add(streamed(thought, text("One "), text("two."), STOP, COUNTED, stepped=True))
    pieces: list[str] = []
    outcomes: list[Completion] = []
    call = threading.Thread(target=lambda: outcomes.append(bedrock.complete(request(), pieces.append)))
    call.start()
    fake_bedrock.step(2)
    wait_until(lambda: pieces == ["One "])
    fake_bedrock.step()
    wait_until(lambda: pieces == ["One ", "two."])
    assert not outcomes
    fake_bedrock.step(2)
    call.join()
    assert (outcomes[0].text, outcomes[0].thinking, outcomes[0].usage) == ("One two.", "Hm.", Usage(9, 4))


USAGE = {"inputTokens": 5, "outputTokens": 2}
CACHED = {"cacheReadInputTokens": 7, "cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "1h", "inputTokens": 2}]}
MOODS: list[Mood] = [
    *(make() for make in (moods.ok, moods.empty, moods.invalid_utf8, moods.nul, moods.raw_nul, moods.lone_surrogate)),
    *(make() for make in (moods.length, moods.content_filter, moods.html_200, moods.huge, moods.too_long)),
    moods.ok(message={"content": []}),
    moods.ok(message={"role": "assistant", "content": [{"reasoningContent": {"redactedContent": "AAAA"}}]}),
    thinking("So."),
    replace(thinking(""), finish_reason="length", usage={"inputTokens": 5, "outputTokens": 256}),
    moods.ok("No.", finish_reason="guardrail_intervened"),
    moods.ok("So.", usage=USAGE | CACHED),
    *(
        moods.ok("So.", usage=USAGE | wrong)
        for wrong in (
            {"inputTokens": True},
            {"outputTokens": 10**9},
            {"outputTokens": 0},
            {"totalTokens": 900},
            {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "24h", "inputTokens": 3}]},
        )
    ),
    refusal("ThrottlingException", 429),
    refusal("ModelStreamErrorException", 424),
    refusal("InternalServerException", 500),
    moods.status(201),
]


@pytest.mark.parametrize("mood", MOODS)
def test_the_outcome_is_the_same_without_a_stream(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, mood: Mood
) -> None:
    fake_bedrock.add(mood, times=2)
    whole = complete(bedrock, request())
    completion, pieces = complete_live(bedrock)
    assert operations(fake_bedrock) == ["converse", "converse-stream"]
    assert replace(completion, provider_request_id=None) == replace(whole, provider_request_id=None)
    assert completion.provider_request_id == fake_bedrock.rows[1].request_id
    assert "".join(pieces) == storable("".join(pieces))
    if completion.status == "succeeded":
        assert "".join(pieces) == completion.text


# Interrupted streams


@pytest.mark.parametrize(
    "name",
    [
        "throttlingException",
        "modelStreamErrorException",
        "internalServerException",
        "validationException",
        "serviceUnavailableException",
        "aNewException",
    ],
)
@pytest.mark.parametrize("before", [[], [text("Half of")]], ids=["first", "behind text"])
def test_an_exception_in_the_stream_is_unknown_and_says_why(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, name: str, before: list[bytes]
) -> None:
    fake_bedrock.add(streamed(*before, exception(name, "Too many tokens, please wait.")))
    completion, pieces = complete_live(bedrock)
    assert (completion.status, completion.error) == ("unknown", "provider_error")
    assert completion.provider_message == "Too many tokens, please wait."
    assert completion.provider_request_id == fake_bedrock.rows[0].request_id
    assert pieces == ["Half of"] * len(before)
    assert complete_live(bedrock)[0].status == "succeeded"
    assert operations(fake_bedrock) == ["converse-stream"] * 2


def test_a_cut_in_the_middle_is_unknown(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(streamed(text("Half of"), STOP, delivery="cut_short"))
    completion, pieces = complete_live(bedrock)
    assert (completion.status, completion.error, pieces) == ("unknown", "connection_lost", ["Half of"])


def test_the_deadline_ends_a_stream(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(streamed(text("Half of"), STOP, delivery="stay_open"))
    completion, pieces = complete_live(bedrock, request(max_call_s=LIMIT_S))
    assert (completion.status, completion.error, pieces) == ("unknown", "timeout", ["Half of"])


@pytest.mark.parametrize("delivery", ["cut_short", "stay_open"])
def test_a_cut_behind_the_end_changes_nothing(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, delivery: Any
) -> None:
    fake_bedrock.add(streamed(text("So."), STOP, COUNTED, delivery=delivery))
    completion, pieces = complete_live(bedrock, request(max_call_s=LIMIT_S))
    assert (completion.status, completion.usage, pieces) == ("succeeded", Usage(9, 4), ["So."])
    assert completion.provider_request_id == fake_bedrock.rows[0].request_id


# Models without streams


@pytest.mark.parametrize(
    "frames", [[text("So."), STOP], [text("So."), STOP, COUNTED[:-1] + b"\x00"]], ids=["no count", "damaged"]
)
def test_a_stream_without_a_count_is_the_last_one_of_its_alias(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, frames: list[bytes]
) -> None:
    fake_bedrock.add(streamed(*frames))
    completion, pieces = complete_live(bedrock)
    assert (completion.status, completion.error, pieces) == ("unknown", "malformed_response", ["So."])
    for _ in range(2):
        completion, pieces = complete_live(bedrock)
        assert (completion.status, pieces) == ("succeeded", [completion.text])
    assert operations(fake_bedrock) == ["converse-stream", "converse", "converse"]


DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/turns/turns is not authorized to perform: "
    "bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:::foundation-model/x"
)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "The model is unsupported for streaming."),
        (400, "This model doesn't support the ConverseStream operation."),
        (403, DENIED),
    ],
)
def test_a_model_that_refuses_streams_is_asked_without_one(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, status: int, message: str
) -> None:
    fake_bedrock.add(moods.too_long(message, status))
    completion, _ = complete_live(bedrock)
    assert (completion.status, completion.error, completion.adapted) == ("unbilled", "invalid_parameter", True)
    assert complete_live(bedrock)[0].status == "succeeded"
    assert operations(fake_bedrock) == ["converse-stream", "converse"]


def test_a_missing_right_on_the_model_does_not_end_streams(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    fake_bedrock.add(moods.too_long("You are not authorized to perform: bedrock:InvokeModel", 403))
    assert complete_live(bedrock)[0].error == "provider_unauthorized"
    complete_live(bedrock)
    assert operations(fake_bedrock) == ["converse-stream"] * 2


def test_the_catalog_says_that_an_alias_does_not_stream(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    asked = request()
    completion, pieces = complete_live(
        bedrock, replace(asked, model=replace(asked.model, dialect=Dialect(stream=False)))
    )
    assert pieces == [completion.text]
    assert operations(fake_bedrock) == ["converse"]
