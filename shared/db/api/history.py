"""Read a session's turns page by page, and cancel one."""

from uuid import UUID

from sqlalchemy import bindparam, case, func, or_, select, update

from shared.db.api.pages import Order, PageRequest, as_index, encode_cursor
from shared.db.compiler import compiled
from shared.db.engine import Database, Statement
from shared.db.schema.tables import active, sessions, turns
from shared.db.turns import StoredTurn, load_turn
from shared.errors import NotFound, TurnEnded

# A page of turns ends here even below its limit, because the size of a function's response is capped.
PAGE_BYTES = 4 * 1024 * 1024

_columns = [turns.c[name] for name in ("id", "turn_index")]
_id = bindparam("b_id", type_=turns.c.id.type)
_SESSION = compiled(select(sessions.c.id).where(sessions.c.id == _id, sessions.c.deleted_at.is_(None)))


def _list(order: Order) -> Statement:
    after = bindparam("b_after", type_=turns.c.turn_index.type)
    beyond = turns.c.turn_index < after if order == "desc" else turns.c.turn_index > after
    by = turns.c.turn_index.desc() if order == "desc" else turns.c.turn_index.asc()
    size = func.octet_length(func.coalesce(turns.c.response, ""))
    rows = (
        select(*_columns, turns.c.response, func.sum(size).over(order_by=by).label("bytes"))
        .add_columns(func.row_number().over(order_by=by).label("number"))
        .where(turns.c.session_id == _id, or_(after.is_(None), beyond))
        .order_by(by)
        .limit(bindparam("b_limit"))
        .subquery("rows")
    )
    fits = or_(rows.c.bytes <= PAGE_BYTES, rows.c.number == 1)
    kept = case((fits, rows.c.response)).label("response")
    return compiled(select(rows.c.id, rows.c.turn_index, kept, fits.label("fits")).order_by(rows.c.number))


CANCEL = compiled(
    update(turns)
    .where(turns.c.id == _id, turns.c.deleted_at.is_(None), active)
    .values(cancel_requested_at=func.coalesce(turns.c.cancel_requested_at, func.clock_timestamp()))
    .returning(turns.c.id)
)
_LIST = {"desc": _list("desc"), "asc": _list("asc")}


def load_turns(db: Database, tenant_id: str, session_id: UUID, request: PageRequest) -> tuple[list[str], str | None]:
    """A session's turns as JSON, by index, and the next cursor. Raises NotFound, InvalidRequest for a bad cursor."""
    params = {"b_id": session_id, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    found, rows = db.read_all(tenant_id, (_SESSION, {"b_id": session_id}), (_LIST[request.order], params))
    if not found:
        raise NotFound("There is no such session.")
    shown = [row for row in rows[: request.limit] if row["fits"]]
    bodies = [row["response"] or load_turn(db, tenant_id, row["id"]).body for row in shown]
    return bodies, encode_cursor(shown[-1]["turn_index"]) if len(shown) < len(rows) else None


def record_cancel(db: Database, tenant_id: str, turn_id: UUID) -> StoredTurn:
    """Ask the runner of the turn, or its next one, to end it before its next call. Raises NotFound, TurnEnded."""
    marked = db.run(tenant_id, CANCEL, {"b_id": turn_id})
    turn = load_turn(db, tenant_id, turn_id)
    if not marked:
        raise TurnEnded
    return turn
