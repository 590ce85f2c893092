"""Read, change and delete sessions. Deletion removes all text in one transaction; the ledger keeps its rows."""

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Integer, any_, bindparam, case, cast, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.api.quotas import LOCK_TENANT, quota_exceeded
from shared.db.api.visibility import FIND_SESSION, about, check_owned, check_seen, owned, this_session, visible
from shared.db.compiler import compiled, typed
from shared.db.engine import LONG_ANSWER_S, Database, Row, Statement
from shared.db.operations.time_limit import GRACE_S, LIMITS, limits, read_within
from shared.db.protocol import DELETE_SESSION
from shared.db.schema.tables import active, sessions, turns
from shared.domain.actor import Actor
from shared.errors import InvalidRequest
from shared.names import Env
from shared.settings import quota_settings

_FIELDS = ("title", "mode", "agent_keys", "fan_out", "chair_key", "visibility")
_DEFAULTS = {"chair_key": None, "visibility": "private"}
_NAMES = ("id", *_FIELDS, "next_turn_index", "created_at", "updated_at")
_columns = (
    *(sessions.c[name] for name in _NAMES),
    sessions.c.user_id.label("created_by"),
    sessions.c.origin,
    sessions.c.model,
    sessions.c.imported.is_not(None).label("imported"),
)


def _field(name: str) -> ColumnElement[Any]:
    return bindparam(f"b_{name}", type_=sessions.c[name].type)


# The collation matches an index. The policy's own condition would read deleted sessions too.
_living = (
    sessions.c.tenant_id == bindparam("b_tenant_id", type_=sessions.c.tenant_id.type).collate("C"),
    sessions.c.deleted_at.is_(None),
)


def _list(order: Order) -> Statement:
    after = bindparam("b_after", type_=sessions.c.id.type)
    beyond = sessions.c.id < after if order == "desc" else sessions.c.id > after
    # Materialized, because the planner would otherwise read all tenants' sessions in the order of the primary key.
    seen = select(*_columns).where(*_living, visible, or_(after.is_(None), beyond)).cte("seen")
    seen = seen.prefix_with("MATERIALIZED")
    by = seen.c.id.desc() if order == "desc" else seen.c.id.asc()
    return compiled(select(seen).order_by(by).limit(bindparam("b_limit")))


def _insert() -> Statement:
    values = {name: typed(f"b_{name}", sessions.c[name]) for name in ("id", "tenant_id", "user_id", *_FIELDS)}
    living = select(func.count()).select_from(sessions).where(*_living, sessions.c.origin == "api")
    source = select(*values.values()).where(living.scalar_subquery() < bindparam("b_most", type_=Integer()))
    return compiled(insert(sessions).from_select(list(values), source, include_defaults=False).returning(*_columns))


def _change() -> Statement:
    # A field that is not given does not change.
    after = {name: func.coalesce(_field(name), sessions.c[name]) for name in _FIELDS}
    # A session can lose its chair. Then its first agent concludes.
    chair_is_given = cast(bindparam("b_chair_is_given", type_=Boolean), Boolean)
    chair = case((chair_is_given, typed("b_chair_key", sessions.c.chair_key)), else_=sessions.c.chair_key)
    # An earlier release may have stored a chair outside the roster. Other changes do not check it.
    is_asked = or_(chair_is_given, typed("b_agent_keys", sessions.c.agent_keys).is_not(None))
    sits = or_(chair.is_(None), chair == any_(after["agent_keys"]), ~is_asked)
    return compiled(
        update(sessions)
        .where(sessions.c.id == bindparam("b_id"), sessions.c.deleted_at.is_(None), owned, sits)
        .values(after | {"chair_key": chair, "updated_at": func.clock_timestamp()})
        .returning(*_columns)
    )


_INSERT = _insert()
LOAD_SESSION = compiled(select(*_columns).where(*this_session))
_LIST = {"desc": _list("desc"), "asc": _list("asc")}
_CHANGE = _change()

# A session without a turn is removed completely. Accepting its first turn raises the index.
_FORGET = compiled(
    delete(sessions).where(
        sessions.c.id == bindparam("b_id"), sessions.c.deleted_at.is_not(None), sessions.c.next_turn_index == 1
    )
)

# A day is 24 hours. The creation time is indexed, and a session cannot be touched before its creation.
_since = func.now() - func.make_interval(0, 0, 0, 0, cast(bindparam("b_days"), Integer) * 24)
_untouched = (
    sessions.c.created_at < _since,
    sessions.c.updated_at < _since,
    ~exists(select(turns.c.id).where(turns.c.session_id == sessions.c.id, active)),
)
_old = (
    select(sessions.c.tenant_id, sessions.c.id)
    .where(sessions.c.deleted_at.is_(None), *_untouched)
    .order_by(sessions.c.created_at)
    .limit(bindparam("b_limit"))
)
_UNTOUCHED = compiled(_old)
_UNTOUCHED_IMPLICIT = compiled(_old.where(sessions.c.origin != "api"))


def record_session(db: Database, tenant_id: str, user_id: str, session_id: UUID, fields: dict[str, object]) -> Row:
    """Make a session of `fields` title, mode, agent_keys, fan_out, chair_key (default None) and visibility (default
    private). Raises QuotaExceeded."""
    limit = quota_settings().max_sessions
    params = {f"b_{name}": value for name, value in (_DEFAULTS | fields).items()}
    params |= {"b_id": session_id, "b_tenant_id": tenant_id, "b_user_id": user_id, "b_most": limit}
    rows = db.run_all(tenant_id, (LOCK_TENANT, params), (_INSERT, params))[1]
    if not rows:
        raise quota_exceeded("sessions", limit, Env.MAX_SESSIONS, "Delete sessions that nobody needs.")
    return rows[0]


def load_sessions(db: Database, actor: Actor, request: PageRequest) -> Page:
    """Return the sessions that the actor sees by creation time. Raises InvalidRequest for a bad cursor."""
    params = {"b_after": request.after(UUID), "b_limit": request.limit + 1, "b_tenant_id": actor.tenant_id}
    rows = db.read(actor.tenant_id, _LIST[request.order], params | actor.params)
    return page(rows, request, lambda row: str(row["id"]))


def load_session(db: Database, actor: Actor, session_id: UUID) -> Row:
    """Raises NotFound."""
    rows = db.read(actor.tenant_id, LOAD_SESSION, about(actor, session_id))
    check_seen(rows)
    return rows[0]


def record_session_change(db: Database, actor: Actor, session_id: UUID, fields: dict[str, object]) -> Row:
    """Change those of title, mode, agent_keys, fan_out and visibility that are not None, and `chair_key` if it is
    given. Raises NotFound, Forbidden, and InvalidRequest if the chair is not one of the session's agents."""
    params = about(actor, session_id)
    change = {
        **params,
        **{f"b_{name}": fields.get(name) for name in _FIELDS},
        "b_chair_is_given": "chair_key" in fields,
    }
    changed, found = db.run_all(actor.tenant_id, (_CHANGE, change), (FIND_SESSION, params))
    if not changed:
        check_owned(found)
        raise InvalidRequest("The session's chair_key must be one of its agent_keys. Change both, or set it to null.")
    return changed[0]


def check_session_owned(db: Database, actor: Actor, session_id: UUID) -> None:
    """Raise NotFound, or Forbidden for an actor that may not change the session."""
    check_owned(db.read(actor.tenant_id, FIND_SESSION, about(actor, session_id)))


def record_session_deletion(db: Database, actor: Actor, session_id: UUID) -> None:
    """Mark the session and its turns as deleted, and remove their text. A session without a turn is removed. Raises
    NotFound, Forbidden."""
    params = {**about(actor, session_id), "b_days": None}
    work = [(statement, params) for statement in (DELETE_SESSION, _FORGET, FIND_SESSION)]
    scrubbed, _, found = db.run_all(actor.tenant_id, *work, answer_s=LONG_ANSWER_S)
    if "scrubbed" not in scrubbed[0]:
        check_owned(found)


def load_untouched_sessions(
    db: Database, days: int, limit: int, seconds: float, *, implicit: bool = False
) -> list[Row]:
    """Return `tenant_id` and `id` of the oldest sessions that were not touched for `days` and have no active turn.

    Turns and changes touch a session; reading does not. With `implicit`, return only sessions of chat programs and
    plain calls. With the role for operations, `db` sees every tenant. Raises DatabaseUnavailable after `seconds`."""
    wanted = _UNTOUCHED_IMPLICIT if implicit else _UNTOUCHED
    (rows,) = read_within(db, seconds, (wanted, {"b_days": days, "b_limit": limit}))
    return rows


def record_session_expiry(
    db: Database, tenant_id: str, session_id: UUID, days: int, seconds: float = LONG_ANSWER_S
) -> bool:
    """Delete the session as a client would, unless it was touched since. Returns whether it is gone. Raises
    DatabaseUnavailable after `seconds`."""
    params = {"b_id": session_id, "b_days": days, "a_user_id": None}
    work = (LIMITS, limits(seconds)), (DELETE_SESSION, params), (_FORGET, params)
    _, scrubbed, _ = db.run_all(tenant_id, *work, answer_s=seconds + GRACE_S)
    return "scrubbed" in scrubbed[0]
