"""Read and write councils. They share one namespace with agents: no agent and council have the same key."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from shared.db.api.agents import unknown_agents
from shared.db.api.keyed_rows import listed, load_page, not_found, write
from shared.db.api.pages import Page, PageRequest
from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.schema.tables import councils
from shared.domain.council import Council

_BODY: Final = ("name", "mode", "agent_keys", "fan_out", "chair_key")
_columns = [councils.c[name] for name in ("key", "version", *_BODY)]
_living = councils.c.deleted_at.is_(None)
_key = bindparam("b_key", type_=councils.c.key.type)


class WrittenCouncil(NamedTuple):
    """A council after a write. `is_new`: the write created it."""

    council: Council
    is_new: bool


_LOAD = compiled(select(*_columns).where(councils.c.key == _key, _living))
_ROWS = select(*_columns).where(_living)
_LIST = {"desc": listed(_ROWS, councils, "desc"), "asc": listed(_ROWS, councils, "asc")}
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
    return load_page(db, tenant_id, _LIST[request.order], request)


def find_council(db: Database, tenant_id: str, key: str) -> Council | None:
    rows = db.read(tenant_id, _LOAD, {"b_key": key})
    return as_council(rows[0]) if rows else None


def load_council(db: Database, tenant_id: str, key: str) -> Council:
    """Raises NotFound."""
    if council := find_council(db, tenant_id, key):
        return council
    raise not_found("council", key)


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
    fields = {name: body[name] for name in _BODY}
    row = write(db, tenant_id, "council", key, fields, if_match, only_new=only_new)
    if row["verdict"] == "unknown":
        raise unknown_agents(row["unknown_keys"])
    council = as_council({"key": key, "version": row["version"], **body})
    return WrittenCouncil(council, row["verdict"] == "made")


def record_council_deletion(db: Database, tenant_id: str, key: str) -> None:
    """Delete a council. Its sessions do not change. Raises NotFound."""
    if not db.run(tenant_id, _DELETE, {"b_key": key}):
        raise not_found("council", key)
