"""List the waiting turns and the calls in suspense of all tenants. Run as `pantheon_operator`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.operations.suspense import in_suspense
from shared.db.schema.columns import Time
from shared.db.schema.tables import llm_calls, turns, usage_ledger

_after_at = bindparam("u_after_at", type_=Time)
_after_id = bindparam("u_after_id", type_=turns.c.id.type)


def _finished(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate over the finished calls of a turn."""
    return select(value).where(llm_calls.c.turn_id == turns.c.id).correlate(turns).scalar_subquery()


def _waiting() -> Select[Any]:
    # The end of a run is not stored, so take the end of the lease, or of the newest call.
    since = func.coalesce(turns.c.lease_expires_at, _finished(func.max(llm_calls.c.finished_at)), turns.c.created_at)
    columns = [turns.c[name] for name in ("id", "tenant_id", "session_id", "status", "created_at")]
    steps = _finished(func.count(llm_calls.c.verdict)).label("steps_finished")
    nobodys = or_(turns.c.lease_expires_at.is_(None), turns.c.lease_expires_at <= func.clock_timestamp())
    # The condition matches the index of active turns.
    return select(*columns, since.label("waits_since"), steps).where(turns.c.completed_at.is_(None), nobodys)


def _suspended() -> Select[Any]:
    names = ("call_id", "tenant_id", "turn_id", "step", "attempt", "model_alias", "provider", "reserve_usd")
    since = usage_ledger.c.created_at.label("since")
    return select(*(llm_calls.c[name] for name in names), since).select_from(usage_ledger, llm_calls).where(in_suspense)


def _page(rows: Select[Any], at: ColumnElement[Any], number: ColumnElement[Any], order: Order) -> Statement:
    key, after = tuple_(at, number), tuple_(_after_at, _after_id)
    beyond = key < after if order == "desc" else key > after
    by = [column.desc() if order == "desc" else column.asc() for column in (at, number)]
    return compiled(rows.where(or_(_after_at.is_(None), beyond)).order_by(*by).limit(bindparam("u_limit")))


_ORDERS: tuple[Order, ...] = ("asc", "desc")
_WAITING = {order: _page(_waiting(), turns.c.created_at, turns.c.id, order) for order in _ORDERS}
_SUSPENDED = {order: _page(_suspended(), usage_ledger.c.created_at, llm_calls.c.call_id, order) for order in _ORDERS}


def load_waiting(db: Database, request: PageRequest) -> Page:
    """Return turns that have not ended and have no runner, by creation time, with `waits_since` and `steps_finished`.
    Raises InvalidRequest for a cursor of another list."""
    return _load(db, _WAITING[request.order], request, ("created_at", "id"))


def load_suspended(db: Database, request: PageRequest) -> Page:
    """Return posted calls of unknown outcome, by the time `since` which they are in suspense. `reserve_usd` is in USD.
    Raises InvalidRequest for a cursor of another list."""
    return _load(db, _SUSPENDED[request.order], request, ("since", "call_id"))


def _load(db: Database, statement: Statement, request: PageRequest, key: tuple[str, str]) -> Page:
    at, number = request.after(_position) or (None, None)
    params = {"u_after_at": at, "u_after_id": number, "u_limit": request.limit + 1}

    def position(row: Row) -> list[str]:
        return [row[key[0]].isoformat(), str(row[key[1]])]

    return page(db.read(None, statement, params), request, position)


def _position(key: Any) -> tuple[datetime, UUID]:
    at, number = key
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError(at)
    return moment, UUID(number)
