"""Fuzzes the readers of a provider's log: each line is a record, a foreign line or unreadable.

An input is a log.
"""

import io
from collections.abc import Iterator
from dataclasses import asdict

from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.bedrock_log import read_invocation_log
from shared.reconciliation.plain_log import read_plain_log

STAGE = "prod"
WORDS = (
    *('"call_id"', '"billed"', '"tokens"', '"input_tokens"', "true", "false", "null", "\n", '"requestMetadata"'),
    *('"stage"', '"prod"', '"schemaType"', '"operation"', '"Converse"', '"input"', '"inputTokenCount"', '"output"'),
    *('"outputTokenCount"', '"outputBodyJson"', '"usage"', '"errorCode"', "01976f5e-0000-7000-8000-000000000001"),
)


def attempt(data: bytes) -> None:
    lines = sum(bool(line.strip()) for line in data.split(b"\n"))
    _check(read_plain_log(io.BytesIO(data)), lines)
    _check(read_invocation_log(io.BytesIO(data), STAGE), lines)


def _check(records: Iterator[ProviderRecord | None], lines: int) -> None:
    read = list(records)
    assert len(read) <= lines
    for record in read:
        if record is None:
            continue
        tokens = asdict(record.usage).values()
        assert all(type(count) is int and 0 <= count < 2**63 for count in tokens)
        assert record.billed or not any(tokens)
