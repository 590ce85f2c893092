"""The shared parts of the tenant's and the operator's usage reports: period, groups and totals.

A field has the same meaning in every grouping. `cost_usd` is the tenants' cost. It never includes the platform's share
or suspense, which have fields of their own. So totals add up.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from functions.moments import DAY, read_day, read_time
from functions.schemas import UsageView
from shared.db.usage.totals import Period
from shared.domain.money import TOKEN_CLASSES, format_usd
from shared.errors import InvalidRequest

# In days: a year, a leap day and a month. Clients request a longer report in parts.
LONGEST_DAYS = 400
_AMOUNTS = ("cost_usd", "platform_cost_usd", "suspense_usd")


class UsageTotalView(BaseModel):
    """The sums of one group. Of the first seven, those are there that were asked for. `agent_key` is null for routing
    and summaries. `reason` is `reply`, `review`, `helper` (routing and summaries), `failed_attempt` or
    `unknown_outcome`. `calls` counts provider calls when they are posted. Amounts are decimal strings in USD:
    `cost_usd` is what the tenant pays, `platform_cost_usd` what the platform bore, `suspense_usd` what nobody is
    charged with yet."""

    day: date | None = None
    session_id: str | None = None
    agent_key: str | None = None
    model_alias: str | None = None
    purpose: str | None = None
    account: str | None = None
    reason: str | None = None
    calls: int
    usage: UsageView
    cost_usd: str
    platform_cost_usd: str
    suspense_usd: str


async def _period(
    from_: Annotated[
        str | None, Query(alias="from", max_length=40, description="Inclusive; this month's start.")
    ] = None,
    to: Annotated[
        str | None, Query(max_length=40, description="Exclusive; by default the start of next month.")
    ] = None,
) -> Period:
    """Read two days (from midnight UTC) or RFC 3339 times, at most LONGEST_DAYS apart. Raises InvalidRequest."""
    end = _moment("to", to) if to is not None else _month(_month(datetime.now(UTC)) + timedelta(days=31))
    start = _moment("from", from_) if from_ is not None else _month(end - timedelta(microseconds=1))
    if not start < end:
        raise InvalidRequest("query.from must be before query.to.")
    if end - start > timedelta(days=LONGEST_DAYS):
        raise InvalidRequest(
            f"query.from and query.to may be {LONGEST_DAYS} days apart at most; ask for a shorter period. Without"
            " query.to, the period ends with this month.",
            longest_days=LONGEST_DAYS,
        )
    return Period(start, end)


def _moment(name: str, written: str) -> datetime:
    try:
        return read_day(written) if DAY.fullmatch(written) else read_time(written)
    except ValueError:
        detail = f"query.{name} must be a day (2026-11-30) or a time (2026-11-30T12:00:00Z), in UTC."
        raise InvalidRequest(detail) from None


def _month(moment: datetime) -> datetime:
    """Return the start of the month of `moment`."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


RequestedPeriod = Annotated[Period, Depends(_period)]
GroupBy = Annotated[list[str] | None, Query(description="Names of groups, with commas between them or repeated.")]


def read_groups(group_by: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the requested groups. Raises InvalidRequest for an unknown or repeated one."""
    names = [name for part in group_by or () if part for name in part.split(",")]
    if unknown := [name for name in names if name not in known]:
        given = ", ".join(repr(name[:40]) for name in unknown[:10])
        raise InvalidRequest(f"query.group_by takes {', '.join(known)}; there is no {given}.", groups=list(known))
    if len(set(names)) < len(names):
        raise InvalidRequest("query.group_by takes each of its names once.", groups=list(known))
    return names


def total_view(row: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Any]:
    """Return the fields of `UsageTotalView` for a row."""
    sums = {"calls": int(row["calls"]), "usage": {name: int(row[name]) for name in TOKEN_CLASSES}}
    keys = {name: str(row[name]) if isinstance(row[name], UUID) else row[name] for name in groups}
    return keys | sums | amounts(row, _AMOUNTS)


def amounts(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return these columns of `row` as decimal strings."""
    return {name: format_usd(Decimal(row[name])) for name in names}
