"""Rules that agents and councils share: a write is a new version, and lists go by creation time and key.

Both have one namespace of keys and the same quota.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, Table, bindparam, or_, tuple_

from shared.db.api.pages import Order, Page, PageRequest, as_time_and_key, page
from shared.db.api.quotas import KEYS_PER_LIVING, quota_exceeded
from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.schema.tables import Time
from shared.db.statement import load
from shared.errors import AgentExists, KeyExists, NotFound, VersionMismatch
from shared.names import Env
from shared.settings import quota_settings

Kind = Literal["agent", "council"]
_OTHER: dict[Kind, str] = {"agent": "A council", "council": "An agent"}
PUT_AGENT = load("put_agent")
PUT_COUNCIL = load("put_council")
PUT: dict[Kind, Statement] = {"agent": PUT_AGENT, "council": PUT_COUNCIL}
_EXISTS = {"agent": AgentExists, "council": KeyExists}


def listed(rows: Select[Any], table: Table, order: Order) -> Statement:
    """Compile a page of `rows`, which select from `table`."""
    after = bindparam("b_created_at", type_=Time)
    position = tuple_(table.c.created_at, table.c.key)
    last = tuple_(after, bindparam("b_key", type_=table.c.key.type))
    beyond = position < last if order == "desc" else position > last
    by = [column.desc() if order == "desc" else column.asc() for column in (table.c.created_at, table.c.key)]
    rows = rows.add_columns(table.c.created_at).where(or_(after.is_(None), beyond))
    return compiled(rows.order_by(*by).limit(bindparam("b_limit")))


def load_page(db: Database, tenant_id: str, statement: Statement, request: PageRequest) -> Page:
    """Return a page of a `listed` statement. Raises InvalidRequest for a bad cursor."""
    after = request.after(as_time_and_key) or (None, None)
    params = {"b_created_at": after[0], "b_key": after[1], "b_limit": request.limit + 1}
    rows = db.read(tenant_id, statement, params)
    return page(rows, request, lambda row: [row["created_at"].isoformat(), row["key"]])


def write(
    db: Database,
    tenant_id: str,
    kind: Kind,
    key: str,
    fields: Mapping[str, object],
    if_match: Sequence[str] | None,
    *,
    only_new: bool,
) -> Row:
    """Write a version with `fields`, and return its row: `version`, and `verdict`, which is `made` for a new key.

    Raises VersionMismatch, KeyExists (AgentExists for an agent) and QuotaExceeded."""
    limit = quota_settings().max_agents
    params = {f"b_{name}": value for name, value in fields.items()} | {
        "b_tenant_id": tenant_id,
        "b_key": key,
        "b_if_match": None if if_match is None else list(if_match),
        "b_only_new": only_new,
        "b_max_living": limit,
        "b_max_keys": limit * KEYS_PER_LIVING,
    }
    row = db.run(tenant_id, PUT[kind], params)[0]
    article = "An" if kind == "agent" else "A"
    match row["verdict"]:
        case "mismatch":
            raise VersionMismatch(f"The {kind} '{key}' is not at the version that If-Match names. Read it again.")
        case "taken":
            raise KeyExists(f"{_OTHER[kind]} has the key '{key}'. Agents and councils share their keys.")
        case "exists":
            raise _EXISTS[kind](f"{article} {kind} '{key}' exists already; PUT replaces it.")
        case "too_many":
            remedy = f"Delete {article.lower()} {kind}, or change an existing one."
            raise quota_exceeded(f"{kind}s", limit, Env.MAX_AGENTS, remedy)
        case "too_many_keys":
            remedy = f"Use the key of a deleted {kind} again."
            raise quota_exceeded(f"{kind} keys", limit * KEYS_PER_LIVING, f"10 times {Env.MAX_AGENTS}", remedy)
    return row


def not_found(kind: Kind, key: str) -> NotFound:
    return NotFound(f"There is no {kind} '{key}'.")
