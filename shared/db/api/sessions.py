"""Sessions. Deleting one takes all of its text away in one transaction; the ledger keeps its rows."""

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, cast, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.api.quotas import LOCK_TENANT, quota_exceeded
from shared.db.compiler import compiled, typed
from shared.db.engine import LONG_ANSWER_S, Database, Row, Statement
from shared.db.protocol import SCRUB
from shared.db.schema.tables import active, sessions, turns
from shared.errors import NotFound
from shared.names import Env
from shared.settings import quota_settings

_FIELDS = ("title", "mode", "agent_keys", "fan_out")
_columns = [sessions.c[name] for name in ("id", *_FIELDS, "next_turn_index", "created_at", "updated_at")]
_this = (sessions.c.id == bindparam("b_id"), sessions.c.deleted_at.is_(None))


def _field(name: str) -> ColumnElement[Any]:
    return bindparam(f"b_{name}", type_=sessions.c[name].type)


def _list(order: Order) -> Statement:
    after = bindparam("b_after", type_=sessions.c.id.type)
    beyond = sessions.c.id < after if order == "desc" else sessions.c.id > after
    by = sessions.c.id.desc() if order == "desc" else sessions.c.id.asc()
    living = select(*_columns).where(sessions.c.deleted_at.is_(None), or_(after.is_(None), beyond))
    return compiled(living.order_by(by).limit(bindparam("b_limit")))


def _insert() -> Statement:
    values = {name: typed(f"b_{name}", sessions.c[name]) for name in ("id", "tenant_id", "user_id", *_FIELDS)}
    # By an index in this collation, because a policy's own condition would read the deleted sessions, too.
    theirs = sessions.c.tenant_id == bindparam("b_tenant_id", type_=sessions.c.tenant_id.type).collate("C")
    living = select(func.count()).select_from(sessions).where(theirs, sessions.c.deleted_at.is_(None))
    source = select(*values.values()).where(living.scalar_subquery() < bindparam("b_most", type_=Integer()))
    return compiled(insert(sessions).from_select(list(values), source, include_defaults=False).returning(*_columns))


_INSERT = _insert()
LOAD_SESSION = compiled(select(*_columns).where(*_this))
_LIST = {"desc": _list("desc"), "asc": _list("asc")}
_CHANGE = compiled(
    update(sessions)
    .where(*_this)
    # A field that is not given stays as it is.
    .values({name: func.coalesce(_field(name), sessions.c[name]) for name in _FIELDS})
    .values(updated_at=func.clock_timestamp())
    .returning(*_columns)
)

# A session without a turn leaves nothing behind. Accepting its first turn raises the index.
_FORGET = compiled(
    delete(sessions).where(
        sessions.c.id == bindparam("b_id"), sessions.c.deleted_at.is_not(None), sessions.c.next_turn_index == 1
    )
)

# A day is 24 hours. The time of creation is indexed, and a session cannot have been touched before it.
_since = func.now() - func.make_interval(0, 0, 0, 0, cast(bindparam("b_days"), Integer) * 24)
_untouched = (
    sessions.c.created_at < _since,
    sessions.c.updated_at < _since,
    ~exists(select(turns.c.id).where(turns.c.session_id == sessions.c.id, active)),
)
_UNTOUCHED = compiled(
    select(sessions.c.tenant_id, sessions.c.id)
    .where(sessions.c.deleted_at.is_(None), *_untouched)
    .order_by(sessions.c.created_at)
    .limit(bindparam("b_limit"))
)


def record_session(db: Database, tenant_id: str, user_id: str, session_id: UUID, fields: dict[str, object]) -> Row:
    """Make a session of `fields` title, mode, agent_keys and fan_out. Raises QuotaExceeded."""
    limit = quota_settings().max_sessions
    params = {f"b_{name}": fields[name] for name in _FIELDS}
    params |= {"b_id": session_id, "b_tenant_id": tenant_id, "b_user_id": user_id, "b_most": limit}
    rows = db.run_all(tenant_id, (LOCK_TENANT, params), (_INSERT, params))[1]
    if not rows:
        raise quota_exceeded("sessions", limit, Env.MAX_SESSIONS, "Delete sessions that nobody needs.")
    return rows[0]


def load_sessions(db: Database, tenant_id: str, request: PageRequest) -> Page:
    """Sessions by the time they were made. Raises InvalidRequest for a bad cursor."""
    rows = db.read(tenant_id, _LIST[request.order], {"b_after": request.after(UUID), "b_limit": request.limit + 1})
    return page(rows, request, lambda row: str(row["id"]))


def load_session(db: Database, tenant_id: str, session_id: UUID) -> Row:
    """Raises NotFound."""
    return _one(db.read(tenant_id, LOAD_SESSION, {"b_id": session_id}))


def record_session_change(db: Database, tenant_id: str, session_id: UUID, fields: dict[str, object]) -> Row:
    """Change those of title, mode, agent_keys and fan_out that are given. Raises NotFound."""
    params = {f"b_{name}": fields.get(name) for name in _FIELDS}
    return _one(db.run(tenant_id, _CHANGE, params | {"b_id": session_id}))


def record_session_deletion(db: Database, tenant_id: str, session_id: UUID) -> None:
    """Mark the session and its turns as deleted, and take the text away. A session without a turn is removed. Raises
    NotFound."""
    if not _scrubbed(db, tenant_id, session_id, None):
        raise NotFound("There is no such session.")


def load_untouched_sessions(db: Database, days: int, limit: int) -> list[Row]:
    """`tenant_id` and `id` of the oldest sessions that nobody has touched for so many days, and in which no turn is
    active; of every tenant where `db` is in the role for operations. A turn and a change touch a session, reading it
    does not."""
    return db.read(None, _UNTOUCHED, {"b_days": days, "b_limit": limit})


def record_session_expiry(db: Database, tenant_id: str, session_id: UUID, days: int) -> bool:
    """Delete the session as a client would, unless somebody has touched it by now. Returns whether it is gone."""
    return _scrubbed(db, tenant_id, session_id, days)


def _scrubbed(db: Database, tenant_id: str, session_id: UUID, days: int | None) -> bool:
    params = {"b_id": session_id, "b_days": days}
    return "scrubbed" in db.run_all(tenant_id, (SCRUB, params), (_FORGET, params), answer_s=LONG_ANSWER_S)[0][0]


def _one(rows: list[Row]) -> Row:
    if not rows:
        raise NotFound("There is no such session.")
    return rows[0]
