"""Read and write agents. A change makes a new version. Versions that a turn has pinned never change."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, func, or_, select

from shared.db.api.keyed_rows import listed, load_page, not_found, write
from shared.db.api.pages import Order, Page, PageRequest, as_index, page
from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.schema.tables import agent_versions, agents
from shared.db.statement import load
from shared.domain.agent import Agent
from shared.errors import UnknownAgent

# Of the versions that no turn has pinned, the newest are kept.
KEPT_VERSIONS: Final = 20

_BODY = ("name", "role_prompt", "model_alias", "max_output_tokens", "temperature", "enabled")
_living = agents.c.deleted_at.is_(None)
_key = bindparam("b_key", type_=agents.c.key.type)


class Written(NamedTuple):
    """An agent after a write. `is_new`: the write created it."""

    agent: Agent
    is_new: bool


def current_agents() -> Select[Any]:
    columns = [agent_versions.c[name] for name in ("key", "version", *_BODY)]
    current = (
        (agent_versions.c.tenant_id == agents.c.tenant_id)
        & (agent_versions.c.key == agents.c.key)
        & (agent_versions.c.version == agents.c.version)
    )
    return select(*columns).select_from(agents.join(agent_versions, current)).where(_living)


def _list_versions(order: Order) -> Statement:
    number = agent_versions.c.version
    after = bindparam("b_after", type_=number.type)
    beyond = number < after if order == "desc" else number > after
    columns = [agent_versions.c[name] for name in ("key", "version", *_BODY, "created_at")]
    theirs = (agent_versions.c.tenant_id == agents.c.tenant_id) & (agent_versions.c.key == agents.c.key)
    listed = select(*columns).select_from(agents.join(agent_versions, theirs)).where(agents.c.key == _key, _living)
    by = number.desc() if order == "desc" else number.asc()
    return compiled(listed.where(or_(after.is_(None), beyond)).order_by(by).limit(bindparam("b_limit")))


_DELETE = load("delete_agent")
_LOAD = compiled(current_agents().where(agents.c.key == _key))
_KNOWN = compiled(select(agents.c.key).where(agents.c.key == func.any(bindparam("b_keys")), _living))
_LIST = {"desc": listed(current_agents(), agents, "desc"), "asc": listed(current_agents(), agents, "asc")}
_LIST_VERSIONS = {"desc": _list_versions("desc"), "asc": _list_versions("asc")}


def as_agent(row: Row) -> Agent:
    return Agent(**{name: row[name] for name in Agent.__dataclass_fields__})


def load_agents(db: Database, tenant_id: str, request: PageRequest) -> Page:
    """Return agents by creation time. Raises InvalidRequest for a bad cursor."""
    return load_page(db, tenant_id, _LIST[request.order], request)


def load_agent(db: Database, tenant_id: str, key: str) -> Agent:
    """Raises NotFound."""
    rows = db.read(tenant_id, _LOAD, {"b_key": key})
    if not rows:
        raise not_found("agent", key)
    return as_agent(rows[0])


def load_versions(db: Database, tenant_id: str, key: str, request: PageRequest) -> Page:
    """Return the kept versions of an agent, with `created_at`. Raises NotFound, and InvalidRequest for a bad cursor."""
    params = {"b_key": key, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    rows = db.read(tenant_id, _LIST_VERSIONS[request.order], params)
    if not rows:
        load_agent(db, tenant_id, key)
    return page(rows, request, lambda row: row["version"])


def load_unknown_keys(db: Database, tenant_id: str, keys: Sequence[str]) -> list[str]:
    known = {row["key"] for row in db.read(tenant_id, _KNOWN, {"b_keys": list(keys)})}
    return [key for key in keys if key not in known]


def record_agent(db: Database, tenant_id: str, key: str, body: dict[str, object]) -> Agent:
    """Make an agent. `body` has the fields of Agent except key and version. Raises AgentExists, KeyExists and
    QuotaExceeded."""
    return _put(db, tenant_id, key, body, None, only_new=True).agent


def record_agent_change(
    db: Database, tenant_id: str, key: str, body: dict[str, object], if_match: Sequence[str] | None = None
) -> Written:
    """Make an agent, or its next version if `body` differs from the current one.

    Args:
        if_match: The versions of which the agent must have one; '*' is any. None: no condition.

    Raises VersionMismatch, KeyExists and QuotaExceeded."""
    return _put(db, tenant_id, key, body, if_match, only_new=False)


def _put(
    db: Database, tenant_id: str, key: str, body: dict[str, object], if_match: Sequence[str] | None, *, only_new: bool
) -> Written:
    fields = {name: body[name] for name in _BODY}
    kept = {"kept": KEPT_VERSIONS}
    row = write(db, tenant_id, "agent", key, fields | kept, if_match, only_new=only_new)
    return Written(as_agent({"key": key, "version": row["version"], **fields}), row["verdict"] == "made")


def record_agent_deletion(db: Database, tenant_id: str, key: str) -> None:
    """Delete an agent. Rosters keep its key, and treat it as disabled. Raises NotFound."""
    if "key" not in db.run(tenant_id, _DELETE, {"b_key": key})[0]:
        raise not_found("agent", key)


def unknown_agents(keys: Sequence[str]) -> UnknownAgent:
    """Return the refusal of keys that no agent has. A disabled agent may be listed, a deleted one may not."""
    return UnknownAgent(f"There is no agent {', '.join(repr(key) for key in keys)}.")
