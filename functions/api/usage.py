"""Serve a tenant's usage: totals, and the ledger's rows as JSON or CSV.

No cell of the CSV begins as a formula does. A user id that does gets an apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from functions.accept import prefers
from functions.api.usage_filters import RequestedFilters, values_of
from functions.field_types import Alias, Amount, Count, Id, Key, Time, UserId
from functions.http import base_path
from functions.requests import CurrentCaller, Cursor, RequestedPage
from functions.responses import Responses, sends
from functions.schemas import PageOf, RatesView
from functions.strict_route import StrictRoute
from functions.turn_schemas import UsageView
from functions.usage import GroupBy, RequestedPeriod, UsageTotalView, read_groups, total_view
from shared.db.api.history import PAGE_BYTES
from shared.db.api.pages import Order, PageRequest, encode_cursor
from shared.db.engine import Row, database
from shared.db.usage.ledger import load_ledger, position
from shared.db.usage.totals import GROUPS, Period, load_totals
from shared.domain.money import TOKEN_CLASSES, format_usd
from shared.domain.turn import Purpose, format_time
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/usage", tags=["Usage and budget"], route_class=StrictRoute)

# The most rows of a page of CSV.
_CSV_ROWS = 10_000
_HOUR = "cache_write_1h"
_RATES = tuple(name for name in RatesView.model_fields if name != _HOUR)
_NAMES = (
    "kind",
    "account",
    "call_id",
    "session_id",
    "turn_id",
    "step",
    "attempt",
    "purpose",
    "agent_key",
    "model_alias",
)
_CSV_HEADER = (
    *("created_at", *_NAMES, *TOKEN_CLASSES),
    *(*(f"{name}_rate" for name in _RATES), "amount_usd", f"{_HOUR}_tokens", f"{_HOUR}_rate"),
    *("user_id", "api_key_id", "reason", "provider"),
)
# The start of a formula, with the full-width signs of East Asia. A reader removes one of two apostrophes.
_PROVIDER = "Name of the provider in the catalog."
_LIMIT = "Most items of the page. Without it: 20 as JSON, 10,000 as CSV."
_CSV: Responses = {
    200: {
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "created_at,kind,account\r\n2026-11-30,post,tenant\r\n",
            }
        },
        **sends("Content-Disposition", "Link"),
    }
}
_FORMULA = re.compile(r"\s*['=+\-@＇＝＋－＠]")


class TenantTotalView(UsageTotalView):
    """The sums of one group. A group's field is present only if `group_by` names it."""

    user_id: UserId | None = Field(default=None, description="Id of the user who posted the turns.")
    api_key_id: Id | None = Field(default=None, description="Id of the requests' API key. Null for a token.")
    provider: str | None = Field(default=None, description=_PROVIDER, examples=["bedrock"])


class LedgerRowView(BaseModel):
    """One row of the ledger. An adjustment moves a call out of suspense, with two rows."""

    created_at: Time = Field(description="When the row was posted.")
    kind: Literal["post", "adjustment"] = Field(
        description="`post`: the cost of a call of a published turn. `adjustment`: moves a call out of suspense.",
        examples=["post"],
    )
    account: Literal["tenant", "platform", "suspense"] = Field(
        description="The payer: `tenant`, `platform`, or `suspense` for nobody yet.", examples=["tenant"]
    )
    call_id: Id = Field(description="Id of the call.")
    session_id: Id = Field(description="Id of the session.")
    turn_id: Id = Field(description="Id of the turn.")
    step: int = Field(description="The step of the turn, from 0.", examples=[0])
    attempt: int = Field(description="The attempt of the step, from 1.", examples=[1])
    purpose: Purpose = Field(description="The purpose of the call.", examples=["agent"])
    agent_key: Key | None = Field(description="Key of the agent. Null for routing and summaries.")
    model_alias: Alias = Field(description="The alias that was called.")
    usage: UsageView = Field(description="Tokens of the call.")
    cache_write_1h_tokens: Count = Field(
        description="The part of `cache_write_tokens` that the cache keeps for an hour, at a price of its own."
    )
    rates: RatesView = Field(description="Prices at the time of the call, in USD per million tokens.")
    amount_usd: Amount = Field(description="The posted amount in USD. It can be negative in an adjustment.")
    user_id: UserId = Field(description="Id of the user who posted the turn.")
    api_key_id: Id | None = Field(description="Id of the request's API key. Null for a token.")
    reason: Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"] = Field(
        description="Why the row was posted: for a `reply`, a `review`, a `helper` (routing and summaries), a"
        " `failed_attempt` without a reply, or an `unknown_outcome` (the answer was lost).",
        examples=["reply"],
    )
    provider: str = Field(description=_PROVIDER, examples=["bedrock"])


@router.get("", response_model=PageOf[TenantTotalView], response_model_exclude_unset=True)
async def read_usage(
    caller: CurrentCaller, period: RequestedPeriod, page: RequestedPage, group_by: GroupBy = None
) -> dict[str, Any]:
    """Read totals by any of day, session_id, agent_key, model_alias, purpose, account, reason, user_id, api_key_id and
    provider. Without groups, there is one total. Totals are sorted by the groups in this order. Days are UTC days. The
    period has at most 400 days, or 92 days by session_id."""
    groups = read_groups(group_by, GROUPS)
    found = load_totals(database(), caller.actor, period, groups, page)
    return {"items": [total_view(row, groups) for row in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/calls",
    response_model=PageOf[LedgerRowView],
    responses=_CSV,
)
async def list_usage_calls(
    request: Request,
    caller: CurrentCaller,
    period: RequestedPeriod,
    filters: RequestedFilters,
    cursor: Annotated[str | None, Cursor] = None,
    order: Annotated[Order, Query(description="`desc`: newest first. `asc`: oldest first.", examples=["asc"])] = "desc",
    limit: Annotated[int | None, Query(ge=1, le=100, description=_LIMIT, examples=[50])] = None,
) -> Response:
    """List the ledger's rows by the time they were posted, the platform's rows too. Send `Accept: text/csv` to get a
    CSV file with a header line. Then the header `Link` has the address of the next page. A page ends at 4 MB. The
    period has at most 400 days. The filters are the groups of `GET /usage`, so each total leads to its rows."""
    as_csv = prefers("text/csv", request.headers.get("accept", ""))
    page = PageRequest(limit or (_CSV_ROWS if as_csv else 20), cursor, order)
    found = load_ledger(database(), caller.actor, period, page, values_of(filters))
    if not as_csv:
        body = {"items": [_view(row) for row in found.items], "next_cursor": found.next_cursor}
        return JSONResponse(body, headers={"Vary": "Accept"})
    text, written = write_csv(found.items, PAGE_BYTES)
    headers = {"Vary": "Accept", "Content-Disposition": 'attachment; filename="usage.csv"'}
    if written < len(found.items) or found.next_cursor:
        after = encode_cursor(position(found.items[written - 1]))
        address = base_path(request.scope) + _address(period, filters, after, order, limit)
        headers["Link"] = f'<{address}>; rel="next"'
    return Response(text, headers=headers, media_type="text/csv; header=present")


def write_csv(rows: Sequence[Row], most_bytes: int) -> tuple[str, int]:
    """Write as many of `rows` as fit, and at least one, as CSV by RFC 4180 with a header line.

    Returns: The text, and the number of rows in it.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(_CSV_HEADER)
    size = file.tell()
    for written, row in enumerate(rows):
        end = file.tell()
        view = _view(row)
        counts = [*view["usage"].values(), *(view["rates"][name] for name in _RATES)]
        named = [view[name] for name in ("created_at", *_NAMES)]
        of_an_hour = [view[f"{_HOUR}_tokens"], view["rates"].get(_HOUR)]
        user_id = neutralised(view["user_id"])
        posted_for = [user_id, view["api_key_id"], view["reason"], view["provider"]]
        writer.writerow([*named, *counts, view["amount_usd"], *of_an_hour, *posted_for])
        # Every field except the user id is ASCII, so a character is a byte.
        size += file.tell() - end + len(user_id.encode()) - len(user_id)
        if size > most_bytes and written:
            return file.getvalue()[:end], written
    return file.getvalue(), len(rows)


def neutralised(text: str) -> str:
    """Return the text as a cell that no spreadsheet reads as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _address(period: Period, filters: Mapping[str, str], cursor: str, order: Order, limit: int | None) -> str:
    bounds = {"from": format_time(period.start), "to": format_time(period.end), "order": order}
    query: dict[str, object] = {**bounds, **filters}
    return f"{router.prefix}/calls?{urlencode(query | ({'limit': limit} if limit else {}) | {'cursor': cursor})}"


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("call_id", "session_id", "turn_id")}
    return {
        "created_at": format_time(row["created_at"]),
        **{name: row[name] for name in _NAMES},
        **ids,
        "usage": {name: row[name] for name in TOKEN_CLASSES},
        f"{_HOUR}_tokens": row[f"{_HOUR}_tokens"],
        "rates": row["rates"],
        "amount_usd": format_usd(row["amount_usd"]),
        "user_id": row["user_id"],
        "api_key_id": row["api_key_id"] and str(row["api_key_id"]),
        "reason": row["reason"],
        "provider": row["provider"],
    }
