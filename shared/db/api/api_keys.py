"""Read and write API keys as their tenant manages them. A key's hash is written here and never read."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.api.quotas import LOCK_TENANT, quota_exceeded
from shared.db.compiler import compiled, typed
from shared.db.engine import Database, Row, Statement
from shared.db.operations.time_limit import run_within
from shared.db.schema.tables import api_keys
from shared.errors import InvalidRequest, NotFound
from shared.names import Env
from shared.settings import quota_settings

_WRITTEN = ("id", "tenant_id", "name", "role", "prefix", "key_hash", "created_by", "expires_at")
_SHOWN = ("id", "name", "role", "prefix", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")
_columns = [api_keys.c[name] for name in _SHOWN]
_created_by = typed("b_created_by", api_keys.c.created_by)
# NULL selects every creator.
_of_creator = or_(_created_by.is_(None), api_keys.c.created_by == _created_by)
# A key is removed 90 days after it was revoked or expired. Until then it counts towards the quota, which bounds the
# rows. The policy of pantheon_ops shows only the keys to remove.
_is_over = func.least(api_keys.c.revoked_at, api_keys.c.expires_at) < func.now() - func.make_interval(0, 0, 0, 90)
_count = select(func.count().label("number")).select_from(api_keys).where(_is_over.is_not(True))


def _insert() -> Statement:
    values = {name: typed(f"b_{name}", api_keys.c[name]) for name in _WRITTEN}
    expires_at: ColumnElement[Any] = values["expires_at"]
    has_room = _count.scalar_subquery() < bindparam("b_most", type_=Integer())
    source = select(*values.values()).where(has_room, or_(expires_at.is_(None), expires_at > func.now()))
    return compiled(insert(api_keys).from_select(_WRITTEN, source, include_defaults=False).returning(*_columns))


def _list(order: Order) -> Statement:
    after = bindparam("b_after", type_=api_keys.c.id.type)
    beyond = api_keys.c.id < after if order == "desc" else api_keys.c.id > after
    by = api_keys.c.id.desc() if order == "desc" else api_keys.c.id.asc()
    listed = select(*_columns).where(_of_creator, or_(after.is_(None), beyond))
    return compiled(listed.order_by(by).limit(bindparam("b_limit")))


_COUNT = compiled(_count)
_INSERT = _insert()
_LIST = {"desc": _list("desc"), "asc": _list("asc")}
_REVOKE = compiled(
    update(api_keys)
    .where(api_keys.c.id == bindparam("b_id"), _of_creator)
    # The first revocation's time stays.
    .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.clock_timestamp()))
    .returning(api_keys.c.id)
)
_REMOVE = compiled(
    delete(api_keys)
    .where(api_keys.c.id.in_(select(api_keys.c.id).where(_is_over).limit(bindparam("b_limit"))))
    .returning(api_keys.c.id)
)


def record_api_key(db: Database, tenant_id: str, key_id: UUID, fields: Mapping[str, object]) -> Row:
    """Make a key of `fields` name, role, prefix, key_hash, created_by and expires_at. Raises QuotaExceeded, and
    InvalidRequest if `expires_at` has passed by the database's clock."""
    limit = quota_settings().max_api_keys
    params = {f"b_{name}": value for name, value in fields.items()}
    params |= {"b_id": key_id, "b_tenant_id": tenant_id, "b_most": limit}
    _, counted, rows = db.run_all(tenant_id, (LOCK_TENANT, params), (_COUNT, params), (_INSERT, params))
    if rows:
        return rows[0]
    if counted[0]["number"] >= limit:
        remedy = "Revoke keys that nobody uses: 90 days after that they are removed."
        raise quota_exceeded("API keys", limit, Env.MAX_API_KEYS, remedy)
    raise InvalidRequest("body.expires_at must be in the future.")


def load_api_keys(db: Database, tenant_id: str, created_by: str | None, request: PageRequest) -> Page:
    """Return the keys that this user created by creation time; None: the whole tenant's. Raises InvalidRequest for a
    bad cursor."""
    params = {"b_created_by": created_by, "b_after": request.after(UUID), "b_limit": request.limit + 1}
    return page(db.read(tenant_id, _LIST[request.order], params), request, lambda row: str(row["id"]))


def record_revocation(db: Database, tenant_id: str, created_by: str | None, key_id: UUID) -> None:
    """Revoke a key that this user created; None: any key of the tenant. Repeating it changes nothing. Raises
    NotFound."""
    if not db.run(tenant_id, _REVOKE, {"b_created_by": created_by, "b_id": key_id}):
        raise NotFound("There is no such API key.")


def remove_ended_keys(db: Database, limit: int, seconds: float) -> int:
    """Remove at most `limit` keys of all tenants that ended 90 days ago, and return how many. `db` has the role for
    operations. Raises DatabaseUnavailable after `seconds`."""
    return len(run_within(db, seconds, (_REMOVE, {"b_limit": limit}))[0])
