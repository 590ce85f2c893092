"""Tests how records of Bedrock's invocation log are read: their stage, their tokens and their mistakes."""

import io
import json
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.bedrock_log import read_invocation_log
from tests.support.invocation_records import invocation

CALL_ID = UUID("01980000-0000-7000-8000-000000000001")
USAGE = Usage(35, 446, cache_read_tokens=7, cache_write_tokens=3, cache_write_1h_tokens=2)
RECORD = ProviderRecord(CALL_ID, billed=True, usage=USAGE)
# Bedrock's own counts beside the answer do not say how long the cache keeps what was written.
COUNTED = ProviderRecord(CALL_ID, billed=True, usage=replace(USAGE, cache_write_1h_tokens=0))
REFUSED = ProviderRecord(CALL_ID, billed=False)


def read(*written: object, stage: str = "prod") -> list[ProviderRecord | None]:
    """Bytes as they are, anything else as JSON."""
    log = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in written)
    return list(read_invocation_log(io.BytesIO(log), stage))


def record(**changes: Any) -> dict[str, Any]:
    return invocation(CALL_ID, USAGE, "prod") | changes


def without_answer(**output: Any) -> dict[str, Any]:
    """As it is logged where texts are not, or were too long for a record."""
    return record(output={"outputContentType": "application/json", "outputTokenCount": 446} | output)


def test_record_of_our_call_has_the_tokens_of_its_answer() -> None:
    assert read(record()) == [RECORD]


def test_record_without_an_answer_has_bedrocks_own_counts() -> None:
    assert read(without_answer(), without_answer(outputBodyS3Path="s3://logs/data/x_output.json.gz")) == [COUNTED] * 2
    counts = {"inputTokenCount": 35}
    assert read(without_answer() | {"input": counts}) == [ProviderRecord(CALL_ID, billed=True, usage=Usage(35, 446))]


def test_record_without_text_is_read() -> None:
    """The account's stack delivers no text. One-hour writes to a cache are then not told from the others."""
    bare = record()
    del bare["input"]["inputBodyJson"], bare["output"]["outputBodyJson"]
    refused = record(errorCode="ThrottlingException", output=None)
    del refused["input"]["inputBodyJson"]
    assert "sesame" not in json.dumps([bare, refused])
    assert read(bare, refused) == [COUNTED, ProviderRecord(CALL_ID, billed=False)]
    assert RECORD.usage is not None
    assert COUNTED.usage == replace(RECORD.usage, cache_write_1h_tokens=0)


def test_a_record_of_a_stream_has_the_tokens_of_its_answer() -> None:
    """The answer is whole, or in events. Without its last event, Bedrock's own counts are taken."""
    whole = record(operation="ConverseStream")
    usage = whole["output"]["outputBodyJson"]["usage"]
    said = [{"messageStart": {"role": "assistant"}}, {"contentBlockDelta": {"delta": {"text": "sesame"}}}]
    events = [[*said, {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}], said, []]
    streams = [without_answer(outputBodyJson=each) | {"operation": "ConverseStream"} for each in events]
    assert read(whole, *streams) == [RECORD, RECORD, COUNTED, COUNTED]


def test_a_stream_that_failed_after_its_first_words_is_billed() -> None:
    cut = without_answer() | {"operation": "ConverseStream", "errorCode": "ModelStreamErrorException"}
    refused = record(operation="ConverseStream", errorCode="ThrottlingException", output=None)
    assert read(cut, refused) == [COUNTED, REFUSED]


def test_tokens_of_the_answer_win_over_bedrocks_own_counts() -> None:
    """It is what the journal would have kept."""
    wrong = record()
    wrong["output"]["outputTokenCount"] = 1
    assert read(wrong) == [RECORD]


@pytest.mark.parametrize("error", ["ThrottlingException", "ModelTimeoutException", "InternalServerException"])
def test_a_call_that_failed_before_it_wrote_anything_is_not_billed(error: str) -> None:
    failed = record(errorCode=error, output=None)
    nothing = record(errorCode=error, output={"outputTokenCount": 0})
    bare = {name: value for name, value in failed.items() if name not in ("input", "output")}
    assert read(failed, nothing, bare) == [REFUSED] * 3


def test_a_call_that_failed_after_it_had_written_is_billed() -> None:
    assert read(without_answer() | {"errorCode": "ModelErrorException"}) == [COUNTED]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        "prod",
        {"team": "demo"},
        {"stage": "prod"},
        {"call_id": str(CALL_ID)},
        {"stage": "dev", "call_id": str(CALL_ID)},
        {"stage": None, "call_id": "x"},
    ],
)
def test_record_of_another_application_or_stage_is_skipped(metadata: object) -> None:
    foreign = record(requestMetadata=metadata, schemaVersion="9", operation="InvokeModel", input=7)
    bare = {name: value for name, value in foreign.items() if name != "requestMetadata"}
    assert read(foreign, bare, record()) == [RECORD]


def test_stage_is_compared_in_the_form_that_bedrock_accepts() -> None:
    assert read(record(requestMetadata={"stage": "prod-1", "call_id": str(CALL_ID)}), stage="prod!1") == [RECORD]


def test_unknown_fields_of_a_record_are_ignored() -> None:
    assert read(record(schemaVersion="1.7", inferenceRegion="eu-west-1", status=3, newest={"field": []})) == [RECORD]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"requestMetadata": ' * 5_000,
        record(requestMetadata={"stage": "prod", "call_id": "call-1"}),
        record(requestMetadata={"stage": "prod", "call_id": None}),
        record(schemaType="AgentInvocationLog"),
        record(schemaVersion="2.0"),
        record(schemaVersion=None),
        record(operation="InvokeModelWithResponseStream"),
        record(operation="ConverseStream", output={"outputBodyJson": [{"metadata": {"usage": {"inputTokens": 1}}}]}),
        record(output=None),
        record(output=[]),
        record(output={}),
        record(input=None, output={"outputTokenCount": 446}),
        record(input={"inputTokenCount": 35.0}, output={"outputTokenCount": 446}),
        record(input={"inputTokenCount": -1}, output={"outputTokenCount": 446}),
        record(input={"inputTokenCount": 35, "cacheReadInputTokenCount": "7"}, output={"outputTokenCount": 446}),
        record(output={"outputTokenCount": 446, "outputBodyJson": {"usage": {"inputTokens": True}}}),
    ],
    ids=count(),
)
def test_record_that_cannot_be_believed_is_reported(line: Any) -> None:
    assert read(record(), line, record()) == [RECORD, None, RECORD]
