"""Statements about agents. A change always makes a new version; what a turn has pinned stays as it was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, Select, bindparam, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.compiler import compiled, typed
from shared.db.engine import Database, Row, Statement
from shared.db.schema.tables import Time, agent_versions, agents
from shared.domain.agent import Agent
from shared.errors import AgentExists, NotFound

_BODY = ("name", "role_prompt", "model_alias", "max_output_tokens", "temperature", "enabled")
_living = agents.c.deleted_at.is_(None)
_this = (agents.c.key == bindparam("b_key"), _living)


def current_agents() -> Select[Any]:
    """Every agent that is not deleted, at its current version."""
    columns = [agent_versions.c[name] for name in ("key", "version", *_BODY)]
    current = (
        (agent_versions.c.tenant_id == agents.c.tenant_id)
        & (agent_versions.c.key == agents.c.key)
        & (agent_versions.c.version == agents.c.version)
    )
    return select(*columns).select_from(agents.join(agent_versions, current)).where(_living)


def _write_version(agent: CTE) -> Statement:
    body = [typed(f"b_{name}", agent_versions.c[name]) for name in _BODY]
    source = select(agent.c.tenant_id, agent.c.key, agent.c.version, *body)
    columns = ["tenant_id", "key", "version", *_BODY]
    return compiled(
        insert(agent_versions).from_select(columns, source).returning(*(agent_versions.c[c] for c in columns[1:]))
    )


def _list(order: Order) -> Statement:
    position = tuple_(agents.c.created_at, agents.c.key)
    after = tuple_(bindparam("b_created_at", type_=Time), bindparam("b_key", type_=agents.c.key.type))
    beyond = position < after if order == "desc" else position > after
    first = bindparam("b_created_at", type_=Time).is_(None)
    by = [column.desc() if order == "desc" else column.asc() for column in (agents.c.created_at, agents.c.key)]
    listed = current_agents().add_columns(agents.c.created_at)
    return compiled(listed.where(or_(first, beyond)).order_by(*by).limit(bindparam("b_limit")))


_identity = (agents.c.tenant_id, agents.c.key, agents.c.version)
_INSERT = _write_version(
    upsert(agents)
    .values(tenant_id=bindparam("b_tenant_id"), key=bindparam("b_key"), version=1)
    .on_conflict_do_update(
        index_elements=["tenant_id", "key"],
        # A deleted agent's key can be used again; its versions go on, since old turns have pinned them.
        set_={"version": agents.c.version + 1, "deleted_at": None, "created_at": func.clock_timestamp()},
        where=agents.c.deleted_at.is_not(None),
    )
    .returning(*_identity)
    .cte("agent")
)
_REPLACE = _write_version(
    update(agents).where(*_this).values(version=agents.c.version + 1).returning(*_identity).cte("agent")
)
_DELETE = compiled(update(agents).where(*_this).values(deleted_at=func.clock_timestamp()).returning(agents.c.key))
_LOAD = compiled(current_agents().where(agents.c.key == bindparam("b_key")))
_KNOWN = compiled(select(agents.c.key).where(agents.c.key == func.any(bindparam("b_keys")), _living))
_LIST = {"desc": _list("desc"), "asc": _list("asc")}


def as_agent(row: Row) -> Agent:
    return Agent(**{name: row[name] for name in Agent.__dataclass_fields__})


def load_agents(db: Database, tenant_id: str, request: PageRequest) -> Page:
    """Agents by the time they were made. Raises InvalidRequest for a bad cursor."""
    after = request.after(_position) or (None, None)
    params = {"b_created_at": after[0], "b_key": after[1], "b_limit": request.limit + 1}
    rows = db.read(tenant_id, _LIST[request.order], params)
    return page(rows, request, lambda row: [row["created_at"].isoformat(), row["key"]])


def _position(key: Any) -> tuple[datetime, str]:
    """When an agent was made, and its key, as a cursor holds them."""
    created_at, name = key
    if not (isinstance(name, str) and name.isascii() and name.isprintable()):
        raise ValueError(name)
    return datetime.fromisoformat(created_at), name


def load_agent(db: Database, tenant_id: str, key: str) -> Agent:
    """Raises NotFound."""
    rows = db.read(tenant_id, _LOAD, {"b_key": key})
    if not rows:
        raise NotFound(f"There is no agent '{key}'.")
    return as_agent(rows[0])


def load_unknown_keys(db: Database, tenant_id: str, keys: Sequence[str]) -> list[str]:
    """Those of `keys` that no agent of the tenant has."""
    known = {row["key"] for row in db.read(tenant_id, _KNOWN, {"b_keys": list(keys)})}
    return [key for key in keys if key not in known]


def record_agent(db: Database, tenant_id: str, key: str, body: dict[str, object]) -> Agent:
    """Make an agent. `body` has the fields of Agent but for key and version. Raises AgentExists."""
    params = {f"b_{name}": body[name] for name in _BODY} | {"b_tenant_id": tenant_id, "b_key": key}
    rows = db.run(tenant_id, _INSERT, params)
    if not rows:
        raise AgentExists(f"An agent '{key}' exists already; PUT replaces it.")
    return as_agent(rows[0])


def record_agent_change(db: Database, tenant_id: str, key: str, body: dict[str, object]) -> Agent:
    """Replace an agent by its next version. Raises NotFound."""
    rows = db.run(tenant_id, _REPLACE, {f"b_{name}": body[name] for name in _BODY} | {"b_key": key})
    if not rows:
        raise NotFound(f"There is no agent '{key}'.")
    return as_agent(rows[0])


def record_agent_deletion(db: Database, tenant_id: str, key: str) -> None:
    """Rosters keep the key, and treat it as disabled. Raises NotFound."""
    if not db.run(tenant_id, _DELETE, {"b_key": key}):
        raise NotFound(f"There is no agent '{key}'.")
