"""Give a new tenant the roster of the template that the deployment names (PANTHEON_ROSTER)."""

import json
from functools import cache, lru_cache

from shared.catalog import catalog
from shared.db.engine import Database
from shared.db.statement import load
from shared.domain.agent import stored_fields
from shared.roster.file import RosterFile, read_template
from shared.settings import roster_settings

_ADD_ROSTER = load("add_roster")


@cache
def template() -> RosterFile | None:
    """The roster of a new tenant. None: a new tenant has no agents. Raises ConfigurationError."""
    file = roster_settings().roster
    roster = read_template(file, catalog()) if file else None
    return roster if roster and roster.agents else None


# A process remembers the tenants that it has seen, so that only their first request asks the database.
@lru_cache(maxsize=20_000)
def add_roster(db: Database, tenant_id: str) -> bool:
    """Write the template's roster if the tenant is new. Returns whether it was, when the process first saw it. Raises
    ConfigurationError."""
    roster = template()
    return roster is not None and record_new_tenant(db, tenant_id, roster)


def record_new_tenant(db: Database, tenant_id: str, roster: RosterFile) -> bool:
    """Write the roster in one transaction if the tenant is new. Returns whether it is."""
    agents = [{"key": key, **stored_fields(body.model_dump())} for key, body in roster.agents.items()]
    councils = [{"key": key, **body.model_dump()} for key, body in roster.councils.items()]
    params = {"b_tenant_id": tenant_id, "b_agents": json.dumps(agents), "b_councils": json.dumps(councils)}
    return bool(db.run(tenant_id, _ADD_ROSTER, params)[0]["is_new"])
