"""Read the period and the groups of a usage report, and show its totals, for tenants and for the operator.

A field means the same in every grouping. `cost_usd` is the cost of the tenants. The platform's cost and the amount in
suspense have fields of their own, so totals add up.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from functions.field_types import Alias, Amount, Id, Key
from functions.moments import DAY, read_day, read_time
from functions.turn_schemas import UsageView
from shared.db.usage.totals import Period
from shared.domain.money import TOKEN_CLASSES, format_usd
from shared.errors import InvalidRequest

# In days: a year, a leap day and a month. Clients request a longer report in parts.
LONGEST_DAYS = 400
_FROM = "Start of the period, inclusive: a day or an RFC 3339 time, in UTC. Default: the start of the month of `to`."
_TO = "End of the period, exclusive: a day or an RFC 3339 time, in UTC. Default: the start of next month."
_AMOUNTS = ("cost_usd", "platform_cost_usd", "suspense_usd")


class UsageTotalView(BaseModel):
    """The sums of one group. A group's field is present only if `group_by` names it."""

    day: date | None = Field(default=None, description="The day, in UTC.", examples=["2026-11-30"])
    session_id: Id | None = Field(default=None, description="Id of the session.")
    agent_key: Key | None = Field(default=None, description="Key of the agent. Null for routing and summaries.")
    model_alias: Alias | None = Field(default=None, description="The alias that was called.")
    purpose: str | None = Field(default=None, description="The purpose of the calls.", examples=["agent"])
    account: str | None = Field(
        default=None, description="The payer: `tenant`, `platform`, or `suspense` for nobody yet.", examples=["tenant"]
    )
    reason: str | None = Field(
        default=None,
        description="Why the calls were posted: `reply`, `review`, `helper` (routing and summaries), `failed_attempt`"
        " or `unknown_outcome`.",
        examples=["reply"],
    )
    calls: int = Field(description="Number of provider calls that were posted.", examples=[12])
    usage: UsageView = Field(description="Tokens of the calls.")
    cost_usd: Amount = Field(description="The tenant's cost, in USD.")
    platform_cost_usd: Amount = Field(description="The platform's cost, in USD.")
    suspense_usd: Amount = Field(description="The cost in suspense, in USD. Nobody is charged with it yet.")


async def _period(
    from_: Annotated[str | None, Query(alias="from", max_length=40, description=_FROM, examples=["2026-11-01"])] = None,
    to: Annotated[str | None, Query(max_length=40, description=_TO, examples=["2026-12-01"])] = None,
) -> Period:
    """Read two days or RFC 3339 times, at most LONGEST_DAYS apart. Raises InvalidRequest."""
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
GroupBy = Annotated[
    list[str] | None,
    Query(description="Names of groups, separated by commas or repeated.", examples=[["day,model_alias"]]),
]


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
