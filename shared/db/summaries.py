"""Reading what publishing left behind beside the turn: summaries, and the audit trail."""

from uuid import UUID

from sqlalchemy import bindparam, or_, select

from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.pages import Order, Page, PageRequest, as_index, page
from shared.db.tables import audit_events, sessions, summaries, turns
from shared.errors import NotFound

SUMMARY_COLUMNS = (
    "id",
    "session_id",
    "through_turn_index",
    "text",
    "key_facts",
    "decisions",
    "open_questions",
    "action_items",
    "archived",
    "fallbacks",
    "created_at",
)
_id = bindparam("b_id", type_=sessions.c.id.type)
_SESSION = compiled(select(sessions.c.id).where(sessions.c.id == _id, sessions.c.deleted_at.is_(None)))
_AUDIT = compiled(
    select(*(audit_events.c[name] for name in ("event", "user_id", "detail", "created_at")))
    .join(turns, turns.c.id == audit_events.c.turn_id)
    .where(audit_events.c.turn_id == _id, turns.c.deleted_at.is_(None))
    .order_by(audit_events.c.id)
)
_TURN = compiled(select(turns.c.id).where(turns.c.id == _id, turns.c.deleted_at.is_(None)))


def _list(order: Order) -> Statement:
    index = summaries.c.through_turn_index
    after = bindparam("b_after", type_=index.type)
    beyond, by = (index < after, index.desc()) if order == "desc" else (index > after, index.asc())
    listed = select(*(summaries.c[name] for name in SUMMARY_COLUMNS))
    listed = listed.where(summaries.c.session_id == _id, or_(after.is_(None), beyond))
    return compiled(listed.order_by(by).limit(bindparam("b_limit")))


_LIST = {"desc": _list("desc"), "asc": _list("asc")}


def load_summaries(db: Database, tenant_id: str, session_id: UUID, request: PageRequest) -> Page:
    """A session's summaries by the turn that they go through. Raises NotFound, InvalidRequest for a bad cursor."""
    params = {"b_id": session_id, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    found, rows = db.read_all(tenant_id, (_SESSION, {"b_id": session_id}), (_LIST[request.order], params))
    if not found:
        raise NotFound("There is no such session.")
    return page(rows, request, lambda row: row["through_turn_index"])


def load_audit(db: Database, tenant_id: str, turn_id: UUID) -> list[Row]:
    """What happened to a turn: nothing until it was published. Raises NotFound."""
    found, events = db.read_all(tenant_id, (_TURN, {"b_id": turn_id}), (_AUDIT, {"b_id": turn_id}))
    if not found:
        raise NotFound("There is no such turn.")
    return events
