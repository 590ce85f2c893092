"""A record of Bedrock's invocation log, read.

The rules this file protects. A record is ours if it repeats our stage and our call's id, which went along with the
call; other applications of the account write into the same log. The tokens are those of the answer where the record
has it, which is what the journal would have kept of it, and Bedrock's own counts beside it otherwise. A record of ours
that cannot be believed is told of, not passed over; and so is one that nobody can read, for it may be ours.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.llm.converse import Counts, metadata_value
from shared.reconciliation.log_lines import read_lines
from shared.reconciliation.plain_log import Tokens


class _Input(BaseModel):
    inputTokenCount: Tokens
    cacheReadInputTokenCount: Tokens | None = None
    cacheWriteInputTokenCount: Tokens | None = None


class _Output(BaseModel):
    outputTokenCount: Tokens | None = None
    outputBodyJson: Any = None


class _Metadata(BaseModel):
    call_id: UUID


class _Record(BaseModel):
    """Of Converse or ConverseStream. Later versions of the log's schema with the number 1 only add to the first one."""

    schemaType: Literal["ModelInvocationLog"]
    schemaVersion: str
    operation: Literal["Converse", "ConverseStream"]
    requestMetadata: _Metadata
    errorCode: str | None = None
    input: Any = None
    output: Any = None


def read_invocation_log(log: BinaryIO, stage: str) -> Iterator[ProviderRecord | None]:
    """The records of the calls of our `stage`, and None for one that cannot be read."""
    ours = metadata_value(stage)
    for line in read_lines(log):
        try:
            document = json.loads(line or b"")
            if _is_ours(document, ours):
                yield _read(_Record.model_validate(document))
        except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            yield None


def _is_ours(document: Any, stage: str) -> bool:
    match document:
        case {"requestMetadata": {"stage": theirs, "call_id": _}}:
            return bool(theirs == stage)
        case dict():
            return False
    raise ValueError("no record")


def _read(record: _Record) -> ProviderRecord:
    if record.schemaVersion.partition(".")[0] != "1":
        raise ValueError("another version")
    usage = _usage(record)
    # What failed is not billed, unless something was written before it did.
    if record.errorCode and (usage is None or not usage.output_tokens):
        return ProviderRecord(record.requestMetadata.call_id, billed=False)
    if usage is None:
        raise ValueError("no count")
    return ProviderRecord(record.requestMetadata.call_id, billed=True, usage=usage)


def _usage(record: _Record) -> Usage | None:
    """What can be believed of the tokens."""
    try:
        output = _Output.model_validate(record.output)
        if (counts := _counts(output.outputBodyJson)) is not None:
            return Counts.model_validate(counts).usage()
        given = _Input.model_validate(record.input)
    except ValidationError:
        return None
    if output.outputTokenCount is None:
        return None
    return Usage(
        input_tokens=given.inputTokenCount,
        output_tokens=output.outputTokenCount,
        cache_read_tokens=given.cacheReadInputTokenCount or 0,
        cache_write_tokens=given.cacheWriteInputTokenCount or 0,
    )


def _counts(answer: Any) -> Any:
    """The counts of an answer: a whole response, as most records of streams have it too, or the events of a stream."""
    match answer:
        case dict():
            return answer.get("usage")
        case [*_, {"metadata": {"usage": counts}}]:
            return counts
    return None
