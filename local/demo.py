"""Make the demo: a roster of agents, a tenant with this roster, and a session with its agents."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from uuid6 import uuid7

from local import private
from shared.catalog import Model
from shared.db.api.agents import load_agents
from shared.db.api.new_tenants import record_new_tenant
from shared.db.api.pages import PageRequest
from shared.db.api.sessions import load_sessions, record_session
from shared.db.engine import Database
from shared.domain.actor import Actor
from shared.roster.file import RosterFile

TENANT: Final = "demo"
USER: Final = "demo"
FILE: Final = Path(__file__).with_name("demo.toml")
_MOST_AGENTS: Final = 32


def write_roster(path: Path, catalog: Mapping[str, Model]) -> None:
    """Write the demo's roster with values that the models of the catalog accept. Raises OSError."""
    roster = tomllib.loads(FILE.read_text("utf-8"))
    agents = {key: _adapted(agent, catalog) for key, agent in roster["agents"].items()}
    private.make_file(path)
    path.write_text(_toml({**roster, "agents": agents}), "utf-8")


def seed(app_url: str, roster: RosterFile) -> str:
    """Give a new demo tenant the roster, and return the id of its session. Changes of a user stay."""
    db = Database(app_url)
    try:
        record_new_tenant(db, TENANT, roster)
        return str(_session(db, roster))
    finally:
        db.close()


def _adapted(agent: Mapping[str, object], catalog: Mapping[str, Model]) -> dict[str, object]:
    """Return the fields of a demo agent, adapted to its model."""
    # A user's catalog may lack the alias.
    model = catalog.get(str(agent["model_alias"])) or next(iter(catalog.values()))
    fields = {**agent, "model_alias": model.alias}
    match model.dialect.temperature:
        case False:
            del fields["temperature"]
        case float(highest):
            fields["temperature"] = min(float(str(agent["temperature"])), highest)
    if model.kind == "local":
        # The local model is slow, and a user waits for four agents.
        fields["max_output_tokens"] = min(64, model.max_output_tokens)
    return fields


def _toml(roster: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Write a roster as TOML. Its texts must be ASCII, which JSON and TOML spell alike."""
    lines = ["# Written by `pantheon run`. Name a file of your own in PANTHEON_ROSTER."]
    for group, tables in roster.items():
        for key, table in tables.items():
            lines += ["", f"[{group}.{key}]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _session(db: Database, roster: RosterFile) -> UUID:
    oldest = load_sessions(db, Actor(TENANT, USER), PageRequest(limit=1, order="asc")).items
    if oldest:
        return UUID(str(oldest[0]["id"]))
    found = load_agents(db, TENANT, PageRequest(limit=_MOST_AGENTS, order="asc")).items
    keys = [row["key"] for row in found] or list(roster.agents)[:_MOST_AGENTS]
    fields: dict[str, object] = {"mode": "manual", "agent_keys": keys, "fan_out": "sequential"}
    session_id = uuid7()
    record_session(db, TENANT, USER, session_id, {"title": "Demo", **fields})
    return session_id
