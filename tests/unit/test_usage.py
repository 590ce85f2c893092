"""Tests the requests of the usage API and its CSV: the period, the size of a page, and texts like formulas."""

import asyncio
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest

from functions.api.usage import write_csv
from functions.usage import _period
from shared.catalog import build
from shared.db.engine import Row
from shared.db.usage.totals import Period
from shared.domain.turn import Account, Purpose
from shared.roster.fields import AgentKey
from shared.settings import LlmProvider, Settings
from tests.support.ledger_rows import RATES, entry

ROWS = [{**entry(datetime(2026, 11, 1, tzinfo=UTC), call_id=UUID(int=number)), "rates": RATES} for number in range(50)]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_page_of_csv_ends_before_it_is_too_long() -> None:
    whole, number = write_csv(ROWS, 10**6)
    assert (number, len(read(whole))) == (50, 50)
    rows: list[Row] = ROWS
    shown: list[dict[str, str]] = []
    while rows:
        text, written = write_csv(rows, 2000)
        assert len(text.encode()) <= 2000
        shown += read(text)
        rows = rows[written:]
    assert shown == read(whole)


def test_page_of_csv_has_at_least_one_row_unless_there_is_none() -> None:
    text, written = write_csv(ROWS, 1)
    assert (written, len(read(text))) == (1, 1)
    header, none = write_csv([], 1)
    assert (none, read(header), header.count("\r\n")) == (0, [], 1)


def test_text_of_a_csv_row_cannot_be_a_formula() -> None:
    pattern = get_args(AgentKey)[1].metadata[0].pattern
    assert pattern.startswith("^[a-z]")
    aliases = {alias for name in get_args(LlmProvider) for alias in build(Settings.model_construct(llm_provider=name))}
    for word in (*aliases, *get_args(Purpose), *get_args(Account)):
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", word)


def period(start: str | None = None, end: str | None = None) -> Period:
    return asyncio.run(_period(start, end))


def test_period_is_this_month_by_default() -> None:
    month = period()
    now = datetime.now(UTC)
    assert month.start <= now < month.end
    assert [(at.day, at.hour, at.minute, at.second, at.microsecond) for at in (month.start, month.end)] == [
        (1, 0, 0, 0, 0)
    ] * 2
    assert month.end - month.start <= timedelta(days=31)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, "2026-03-01", ("2026-02-01", "2026-03-01")),
        (None, "2026-03-01T00:00:01Z", ("2026-03-01", "2026-03-01T00:00:01")),
        ("2026-02-28", "2026-03-01", ("2026-02-28", "2026-03-01")),
        # As long as a period may be.
        ("2025-01-01", "2026-02-05", ("2025-01-01", "2026-02-05")),
        ("2026-02-28T23:00:00-01:00", "2026-03-01t01:30:00.5z", ("2026-03-01", "2026-03-01T01:30:00.500000")),
    ],
)
def test_a_period_is_in_utc(start: str | None, end: str, expected: tuple[str, str]) -> None:
    found = period(start, end)
    assert found == Period(*(datetime.fromisoformat(at).replace(tzinfo=UTC) for at in expected))
