"""What a tenant used, and what it cost: totals, and the ledger's rows as JSON or CSV.

A spreadsheet can open the CSV as it is, because no cell begins as a formula does. An agent's key never does. A user id
that does has an apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from functions.accept import prefers
from functions.api.usage_filters import RequestedFilters, values_of
from functions.http import base_path
from functions.requests import CurrentCaller, RequestedPage
from functions.schemas import PageOf, RatesView, UsageView
from functions.strict_route import StrictRoute
from functions.usage import GroupBy, RequestedPeriod, UsageTotalView, read_groups, total_view
from shared.db.api.history import PAGE_BYTES
from shared.db.api.pages import Order, PageRequest, encode_cursor
from shared.db.engine import Row, database
from shared.db.usage.ledger import load_ledger, position
from shared.db.usage.totals import GROUPS, Period, load_totals
from shared.domain.money import TOKEN_CLASSES, format_usd
from shared.domain.turn import Purpose, format_time
from shared.names import API_PREFIX

router = APIRouter(prefix=f"{API_PREFIX}/usage", route_class=StrictRoute)

# A page of CSV ends here or at its 4 MB, whichever comes first.
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
# How a formula begins, in spreadsheets of East Asia too. Of two apostrophes, a reader takes one away.
_FORMULA = re.compile(r"\s*['=+\-@＇＝＋－＠]")


class TenantTotalView(UsageTotalView):
    """A UsageTotalView with three more groups. `user_id` is the user who posted the turns. `api_key_id` is the API key
    of the request, or null for a token. `provider` is the provider's name in the catalog."""

    user_id: str | None = None
    api_key_id: str | None = None
    provider: str | None = None


class LedgerRowView(BaseModel):
    """One row of the ledger. A `post` is the cost of a call when its turn was published. An `adjustment` moves a call
    out of suspense, with two rows. `rates` are the USD per million tokens at the time of the call.
    `cache_write_1h_tokens` counts the `cache_write_tokens` that cost the rate for an hour. `user_id` is the user who
    posted the turn. `api_key_id` is the API key of that request, or null for a token. `reason` says why the row was
    posted: for a `reply`, a `review`, a `helper` (routing and summaries), a `failed_attempt` that gave no reply, or an
    `unknown_outcome`, if the provider's answer was lost. `provider` is the provider's name in the catalog."""

    created_at: datetime
    kind: Literal["post", "adjustment"]
    account: Literal["tenant", "platform", "suspense"]
    call_id: str
    session_id: str
    turn_id: str
    step: int
    attempt: int
    purpose: Purpose
    agent_key: str | None
    model_alias: str
    usage: UsageView
    cache_write_1h_tokens: int
    rates: RatesView
    amount_usd: str
    user_id: str
    api_key_id: str | None
    reason: Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"]
    provider: str


@router.get("", response_model=PageOf[TenantTotalView], response_model_exclude_unset=True)
async def read_usage(
    caller: CurrentCaller, period: RequestedPeriod, page: RequestedPage, group_by: GroupBy = None
) -> dict[str, Any]:
    """Return totals by any of day, session_id, agent_key, model_alias, purpose, account, reason, user_id, api_key_id
    and provider. Without groups, return one total. The totals are sorted by the groups in this order. Days are UTC
    days. The period has at most 400 days, or 92 days by session_id. A longer period is 422."""
    groups = read_groups(group_by, GROUPS)
    found = load_totals(database(), caller.actor, period, groups, page)
    return {"items": [total_view(row, groups) for row in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/calls",
    response_model=PageOf[LedgerRowView],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def list_calls(
    request: Request,
    caller: CurrentCaller,
    period: RequestedPeriod,
    filters: RequestedFilters,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    order: Order = "desc",
    limit: Annotated[int | None, Query(ge=1, le=100, description="20; CSV fills its page.")] = None,
) -> Response:
    """The ledger's rows by the time they were posted, what the platform bore included. With `Accept: text/csv` a page
    is a CSV file with a header line, and the next page is at the address in the header `Link`. A page ends at 4 MB.
    The filters are the groups of `GET /usage` but the day, so a total leads to its rows. The period is 400 days at
    most, and 422 otherwise."""
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
    """As many of `rows` as fit, and at least one, as CSV by RFC 4180 with a header line; and how many these are."""
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
        # All but the user id is ASCII, where a character is a byte.
        size += file.tell() - end + len(user_id.encode()) - len(user_id)
        if size > most_bytes and written:
            return file.getvalue()[:end], written
    return file.getvalue(), len(rows)


def neutralised(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula."""
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
