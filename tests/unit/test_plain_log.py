"""Tests how a provider's plain log is read: our lines, foreign lines and broken lines."""

import io
import json
from typing import Any
from uuid import UUID

import pytest

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation import log_lines
from shared.reconciliation.plain_log import read_plain_log

CALL_ID = UUID("01980000-0000-7000-8000-000000000001")
LINE = {"call_id": str(CALL_ID), "billed": True, "tokens": {"input_tokens": 12, "output_tokens": 3}}
RECORD = ProviderRecord(CALL_ID, billed=True, usage=Usage(12, 3))


def read(*written: object) -> list[ProviderRecord | None]:
    """Bytes as they are, anything else as JSON."""
    log = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in written)
    return list(read_plain_log(io.BytesIO(log)))


def test_a_billed_call_has_its_tokens_by_class() -> None:
    tokens = {name: number for number, name in enumerate(Usage().as_dict(), start=1)} | {"cache_write_1h_tokens": 3}
    assert read(LINE, {**LINE, "tokens": tokens}) == [
        RECORD,
        ProviderRecord(CALL_ID, billed=True, usage=Usage(1, 2, 3, 4, 5, 3)),
    ]


def test_call_that_was_not_billed_has_no_tokens() -> None:
    assert (
        read({**LINE, "billed": False}, {"call_id": str(CALL_ID), "billed": False, "tokens": None})
        == [ProviderRecord(CALL_ID, billed=False)] * 2
    )


def test_unknown_fields_of_a_line_are_ignored() -> None:
    assert read({**LINE, "messages": ["hello"], "status": 500, "at": None}) == [RECORD]


@pytest.mark.parametrize("line", [{}, {"call_id": None, "billed": "?"}, {"billed": True}, b"", b" \r", b"\t"])
def test_line_without_a_call_of_ours_is_skipped(line: object) -> None:
    assert read(line, LINE) == [RECORD]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"' + str(CALL_ID).encode() + b'"',
        b"[" * 100_000,
        {**LINE, "call_id": "call-1"},
        {**LINE, "tokens": {"cache_write_tokens": 3, "cache_write_1h_tokens": 4}},
        {**LINE, "call_id": 7},
        {**LINE, "billed": 1},
        {"call_id": str(CALL_ID), "tokens": {}},
        {"call_id": str(CALL_ID), "billed": True},
        {**LINE, "tokens": None},
        {**LINE, "tokens": {"input_tokens": -1}},
        {**LINE, "tokens": {"input_tokens": 12.0}},
        {**LINE, "tokens": {"input_tokens": True}},
        {**LINE, "tokens": {"input_tokens": "12"}},
        {**LINE, "tokens": {"input_tokens": 2**63}},
        {**LINE, "tokens": {"prompt_tokens": 12}},
    ],
    ids=lambda line: str(line)[:60],
)
def test_line_that_cannot_be_read_is_reported(line: Any) -> None:
    assert read(LINE, line, LINE) == [RECORD, None, RECORD]


@pytest.mark.parametrize("over", [-1, 0, 1, 1000])
def test_line_that_is_too_long_is_reported_once_and_not_kept_in_memory(
    monkeypatch: pytest.MonkeyPatch, over: int
) -> None:
    longest = 400
    monkeypatch.setattr(log_lines, "LONGEST_LINE", longest)
    bare = len(json.dumps({**LINE, "x": ""})) + 1
    long = {**LINE, "x": "x" * (longest - bare + over)}
    assert read(LINE, long, LINE) == [RECORD, None if over > 0 else RECORD, RECORD]


def test_last_line_that_was_cut_off_is_reported() -> None:
    log = json.dumps(LINE).encode()
    assert list(read_plain_log(io.BytesIO(log + b"\n" + log[:40]))) == [RECORD, None]
