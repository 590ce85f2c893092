"""Read and write councils. They share one namespace with agents: no agent and council have the same key."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select, tuple_, update

from shared.db.api.agents import unknown_agents
from shared.db.api.pages import Order, Page, PageRequest, as_time_and_key, page
from shared.db.api.quotas import KEYS_PER_LIVING, quota_exceeded
from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.schema.tables import Time, councils
from shared.db.statement import load
from shared.domain.council import Council
from shared.errors import KeyExists, NotFound, VersionMismatch
from shared.names import Env
from shared.settings import quota_settings

_BODY: Final = ("name", "mode", "agent_keys", "fan_out", "chair_key")
_columns = [councils.c[name] for name in ("key", "version", *_BODY)]
_living = councils.c.deleted_at.is_(None)
_key = bindparam("b_key", type_=councils.c.key.type)


class WrittenCouncil(NamedTuple):
    """A council after a write. `is_new`: the write created it."""

    council: Council
    is_new: bool


def _list(order: Order) -> Statement:
    position = tuple_(councils.c.created_at, councils.c.key)
    created_at = bindparam("b_created_at", type_=Time)
    after = tuple_(created_at, _key)
    beyond = position < after if order == "desc" else position > after
    by = [column.desc() if order == "desc" else column.asc() for column in (councils.c.created_at, councils.c.key)]
    listed = select(*_columns, councils.c.created_at).where(_living, or_(created_at.is_(None), beyond))
    return compiled(listed.order_by(*by).limit(bindparam("b_limit")))


_PUT = load("put_council")
_LOAD = compiled(select(*_columns).where(councils.c.key == _key, _living))
_LIST = {"desc": _list("desc"), "asc": _list("asc")}
_DELETE = compiled(
    update(councils)
    .where(councils.c.key == _key, _living)
    .values(deleted_at=func.clock_timestamp())
    .returning(councils.c.key)
)


def as_council(row: Row) -> Council:
    fields = {name: row[name] for name in Council.__dataclass_fields__}
    return Council(**fields | {"agent_keys": tuple(row["agent_keys"])})


def load_councils(db: Database, tenant_id: str, request: PageRequest) -> Page:
    """Return councils by creation time. Raises InvalidRequest for a bad cursor."""
    after = request.after(as_time_and_key) or (None, None)
    params = {"b_created_at": after[0], "b_key": after[1], "b_limit": request.limit + 1}
    rows = db.read(tenant_id, _LIST[request.order], params)
    return page(rows, request, lambda row: [row["created_at"].isoformat(), row["key"]])


def find_council(db: Database, tenant_id: str, key: str) -> Council | None:
    rows = db.read(tenant_id, _LOAD, {"b_key": key})
    return as_council(rows[0]) if rows else None


def load_council(db: Database, tenant_id: str, key: str) -> Council:
    """Raises NotFound."""
    if council := find_council(db, tenant_id, key):
        return council
    raise _not_found(key)


def record_council(db: Database, tenant_id: str, key: str, body: dict[str, object]) -> Council:
    """Make a council. `body` has the fields of Council except key and version. Raises UnknownAgent, KeyExists and
    QuotaExceeded."""
    return _put(db, tenant_id, key, body, None, only_new=True).council


def record_council_change(
    db: Database, tenant_id: str, key: str, body: dict[str, object], if_match: Sequence[str] | None = None
) -> WrittenCouncil:
    """Make a council, or its next version if `body` differs from the current one.

    Args:
        if_match: The versions of which the council must have one; '*' is any. None: no condition.

    Raises UnknownAgent, VersionMismatch, KeyExists and QuotaExceeded."""
    return _put(db, tenant_id, key, body, if_match, only_new=False)


def _put(
    db: Database, tenant_id: str, key: str, body: dict[str, object], if_match: Sequence[str] | None, *, only_new: bool
) -> WrittenCouncil:
    limit = quota_settings().max_agents
    fields = {name: body[name] for name in _BODY}
    params = {f"b_{name}": value for name, value in fields.items()} | {
        "b_tenant_id": tenant_id,
        "b_key": key,
        "b_if_match": None if if_match is None else list(if_match),
        "b_only_new": only_new,
        "b_max_councils": limit,
        "b_max_keys": limit * KEYS_PER_LIVING,
    }
    row = db.run(tenant_id, _PUT, params)[0]
    match row["verdict"]:
        case "unknown":
            raise unknown_agents(row["unknown_keys"])
        case "mismatch":
            raise VersionMismatch(f"The council '{key}' is not at the version that If-Match names. Read it again.")
        case "taken":
            raise KeyExists(f"An agent has the key '{key}'. Agents and councils share their keys.")
        case "exists":
            raise KeyExists(f"A council '{key}' exists already; PUT replaces it.")
        case "too_many":
            raise quota_exceeded("councils", limit, Env.MAX_AGENTS, "Delete a council, or change an existing one.")
        case "too_many_keys":
            remedy = "Use the key of a deleted council again."
            raise quota_exceeded("council keys", limit * KEYS_PER_LIVING, f"10 times {Env.MAX_AGENTS}", remedy)
    council = as_council({"key": key, "version": row["version"], **body})
    return WrittenCouncil(council, row["verdict"] == "made")


def record_council_deletion(db: Database, tenant_id: str, key: str) -> None:
    """Delete a council. Its sessions do not change. Raises NotFound."""
    if not db.run(tenant_id, _DELETE, {"b_key": key}):
        raise _not_found(key)


def _not_found(key: str) -> NotFound:
    return NotFound(f"There is no council '{key}'.")
