"""The rows of the ledger as they are read, page by page, in the order in which they were posted.

The rule this file protects: a row that was there when the first page was read is on one page and on no other, whatever
is posted meanwhile. Rows that are posted later come before the first page, or, in ascending order, at the end.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, select, tuple_

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.api.visibility import acts_for
from shared.db.compiler import compiled
from shared.db.engine import LONG_ANSWER_S, Database, Statement
from shared.db.schema.columns import COUNTS, Time
from shared.db.schema.tables import usage_entries
from shared.db.usage.totals import Period
from shared.domain.actor import Actor

_NAMES = ("id", "created_at", "kind", "account", "reason", "call_id", "session_id", "turn_id", "step", "attempt")
_ABOUT = ("purpose", "agent_key", "model_alias", "user_id", "api_key_id", "provider", *COUNTS, "rates", "amount_usd")
NO_FILTERS: Final[Mapping[str, object]] = MappingProxyType({})
_columns = [usage_entries.c[name] for name in (*_NAMES, *_ABOUT)]


# Each combination of filters is a statement of its own, so that the planner sees its conditions.
_MOST_STATEMENTS = 128
FILTERS = (
    *("session_id", "agent_key", "model_alias", "purpose", "account", "reason", "user_id", "api_key_id"),
    *("provider", "turn_id"),
)


@lru_cache(_MOST_STATEMENTS)
def _list(order: Order, filters: tuple[tuple[str, bool], ...] = ()) -> Statement:
    """The statement of a page. `filters` are names, each with whether the column is to be NULL."""
    at, number = usage_entries.c.created_at, usage_entries.c.id
    after_at, after_id = bindparam("u_after_at", type_=Time), bindparam("u_after_id", type_=number.type)
    key, after = tuple_(at, number), tuple_(after_at, after_id)
    beyond = key < after if order == "desc" else key > after
    by = [column.desc() if order == "desc" else column.asc() for column in (at, number)]
    of_period = (at >= bindparam("u_from", type_=Time), at < bindparam("u_to", type_=Time))
    # No "or": whatever the plan, a page is read from where the page before ended.
    rows = select(*_columns).where(*of_period, beyond, acts_for(usage_entries.c.user_id))
    return compiled(rows.where(*map(_is, filters)).order_by(*by).limit(bindparam("u_limit")))


def _is(filter_: tuple[str, bool]) -> ColumnElement[bool]:
    name, is_null = filter_
    column = usage_entries.c[name]
    return column.is_(None) if is_null else column == bindparam(f"u_{name}", type_=column.type)


# Compiled at the start, because most readers filter nothing.
_LIST = {"desc": _list("desc"), "asc": _list("asc")}


def load_ledger(
    db: Database, actor: Actor, period: Period, request: PageRequest, filters: Mapping[str, object] = NO_FILTERS
) -> Page:
    """Load the rows of a member's own turns, or for an admin of all turns of the tenant, in the order of posting. They
    are posts and adjustments of every account. Each has its reason, and the user and the API key of the turn. Amounts
    are in USD, rates in USD per million tokens. `filters` are values of FILTERS, None for rows without one. Raises
    InvalidRequest for a cursor of another list."""
    # No row has the number 0: the first page begins at the period's end, or at its start.
    at, number = request.after(_position) or (period.end if request.order == "desc" else period.start, 0)
    params = {"u_from": period.start, "u_to": period.end, "u_after_at": at, "u_after_id": number}
    params |= {"u_limit": request.limit + 1, **actor.params}
    asked = tuple((name, filters[name] is None) for name in FILTERS if name in filters)
    params |= {f"u_{name}": filters[name] for name, is_null in asked if not is_null}
    statement = _list(request.order, asked) if asked else _LIST[request.order]
    rows = db.read(actor.tenant_id, statement, params, answer_s=LONG_ANSWER_S)
    return page(rows, request, position)


def position(row: Any) -> list[object]:
    """What a cursor holds of the last row of a page."""
    return [row["created_at"].isoformat(), row["id"]]


def _position(key: Any) -> tuple[datetime, int]:
    at, number = key
    if type(number) is not int or not 0 <= number < 2**63:
        raise ValueError(number)
    return datetime.fromisoformat(at), number
