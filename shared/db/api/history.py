"""Read a session's turns page by page, and cancel one."""

from uuid import UUID

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from shared.db.api.pages import Order, PageRequest, as_index, encode_cursor
from shared.db.api.visibility import FIND_SESSION, about, acts_for, check_seen, owned, visible
from shared.db.compiler import compiled
from shared.db.engine import Database, Statement
from shared.db.schema.tables import active, sessions, turns
from shared.db.turns import StoredTurn, load_turn
from shared.domain.actor import Actor
from shared.errors import Forbidden, TurnEnded

# A page of turns ends here even below its limit, because the size of a function's response is capped.
PAGE_BYTES = 4 * 1024 * 1024

_columns = [turns.c[name] for name in ("id", "turn_index")]
_id = bindparam("b_id", type_=turns.c.id.type)


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


_cancelled = (turns.c.id == _id, turns.c.deleted_at.is_(None), sessions.c.id == turns.c.session_id)
# A member cancels the turns that it posted, and every turn of its own sessions.
_may_cancel = and_(visible, or_(owned, acts_for(turns.c.user_id)))
_MAY_CANCEL = compiled(select(turns.c.id).where(*_cancelled, _may_cancel))
CANCEL = compiled(
    update(turns)
    .where(*_cancelled, _may_cancel, active)
    .values(cancel_requested_at=func.coalesce(turns.c.cancel_requested_at, func.clock_timestamp()))
    .returning(turns.c.id)
)
_LIST = {"desc": _list("desc"), "asc": _list("asc")}


def load_turns(db: Database, actor: Actor, session_id: UUID, request: PageRequest) -> tuple[list[str], str | None]:
    """A session's turns as JSON, by index, and the next cursor. Raises NotFound, InvalidRequest for a bad cursor."""
    params = {"b_id": session_id, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    found, rows = db.read_all(actor.tenant_id, (FIND_SESSION, about(actor, session_id)), (_LIST[request.order], params))
    check_seen(found)
    shown = [row for row in rows[: request.limit] if row["fits"]]
    bodies = [row["response"] or load_turn(db, actor, row["id"]).body for row in shown]
    return bodies, encode_cursor(shown[-1]["turn_index"]) if len(shown) < len(rows) else None


def record_cancel(db: Database, actor: Actor, turn_id: UUID) -> StoredTurn:
    """Ask the current or next runner of the turn to end it before its next call. Raises NotFound, Forbidden,
    TurnEnded."""
    params = about(actor, turn_id)
    marked, allowed = db.run_all(actor.tenant_id, (CANCEL, params), (_MAY_CANCEL, params))
    turn = load_turn(db, actor, turn_id)
    if not allowed:
        raise Forbidden(
            "Only the user who posted this turn, the user who created its session, and admins of the tenant can cancel"
            " it."
        )
    if not marked:
        raise TurnEnded
    return turn
