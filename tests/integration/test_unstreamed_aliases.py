"""Tests that an alias that does not stream, or does not count its streams, is asked without a stream."""

from dataclasses import replace
from typing import Any

import pytest

from shared.catalog import Dialect
from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider.calls import complete_live, model, request
from tests.support.fake_provider.streamed import DONE
from tests.support.streamed_answers import COUNTED, STOP, STREAMED, UNSTREAMED, asked_for, said

pytest_plugins = ["tests.support.fake_provider.fixtures"]


@pytest.mark.parametrize(
    "parts", [[said("fine"), STOP, DONE], [said("fine"), COUNTED], [said("fine"), b"data: {\n\n", STOP, COUNTED, DONE]]
)
def test_a_stream_without_a_count_is_the_last_one_of_its_alias(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, parts: list[bytes]
) -> None:
    fake_provider.add(moods.streamed(*parts))
    completion, _ = complete_live(openai_compatible)
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert completion.provider_request_id == fake_provider.rows[0].request_id
    for _ in range(2):
        completion, pieces = complete_live(openai_compatible)
        assert (completion.status, pieces) == ("succeeded", [completion.text])
    other = request(model=replace(model(), alias="deep"))
    assert complete_live(openai_compatible, other)[0].status == "succeeded"
    assert asked_for(fake_provider.rows) == [STREAMED, UNSTREAMED, UNSTREAMED, STREAMED]


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"error": {"message": "Unrecognized request argument supplied: stream_options"}}, 400),
        ({"error": {"message": "Streaming is not supported by this model.", "type": "invalid_request_error"}}, 400),
        ({"error": {"message": "The model small-1 is not supported for streaming."}}, 400),
        ({"error": {"message": "No.", "param": "stream_options.include_usage"}}, 400),
        ({"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, 422),
        ({"message": "Unsupported value: 'stream' does not support true with this model."}, 422),
    ],
)
def test_an_alias_that_refuses_streams_is_asked_without_one(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, document: Any, status: int
) -> None:
    fake_provider.add(replace(moods.raw(document), status=status))
    completion, pieces = complete_live(openai_compatible)
    assert (completion.status, completion.error, completion.adapted) == ("unbilled", "invalid_parameter", True)
    assert pieces == []
    completion, pieces = complete_live(openai_compatible)
    assert (completion.status, pieces) == ("succeeded", [completion.text])
    assert asked_for(fake_provider.rows) == [STREAMED, UNSTREAMED]


def test_a_refusal_of_another_kind_does_not_end_streams(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    for message in ("Error in upstream.", "The model does not exist.", "prompt is too long"):
        fake_provider.add(moods.too_long(message))
        complete_live(openai_compatible)
    assert complete_live(openai_compatible)[0].status == "succeeded"
    assert asked_for(fake_provider.rows) == [STREAMED] * 4


@pytest.mark.parametrize(("stream", "sent"), [(False, UNSTREAMED), (True, STREAMED), (None, STREAMED)])
def test_the_catalog_says_whether_an_alias_streams(
    fake_provider: FakeProvider,
    openai_compatible: OpenAICompatibleProvider,
    stream: bool | None,
    sent: dict[str, Any],
) -> None:
    completion, pieces = complete_live(
        openai_compatible, request(model=replace(model(), dialect=Dialect(stream=stream)))
    )
    assert (completion.status, "".join(pieces)) == ("succeeded", completion.text)
    assert asked_for(fake_provider.rows) == [sent]
