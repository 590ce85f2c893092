"""The demo tenant: four agents worth talking to, and a session in which they sit."""

from uuid import UUID

from uuid6 import uuid7

from shared.db.api.agents import record_agent
from shared.db.api.pages import PageRequest
from shared.db.api.sessions import load_sessions, record_session
from shared.db.engine import Database
from shared.domain.actor import Actor
from shared.errors import AgentExists

TENANT = "demo"
USER = "demo"
AGENTS = {
    "writer": {
        "name": "Writer",
        "role_prompt": "You write clear, lively prose. Answer with the text itself, in at most three short "
        "paragraphs, without headings and without talk about how you wrote it.",
        "model_alias": "fast",
        "temperature": 0.7,
    },
    "researcher": {
        "name": "Researcher",
        "role_prompt": "You gather what is known. List the facts that matter for the question, the most important "
        "first, and say plainly which of them you are not sure of.",
        "model_alias": "fast",
        "temperature": 0.2,
    },
    "critic": {
        "name": "Critic",
        "role_prompt": "You look for what is wrong or missing in what was said before you. Name the three weakest "
        "points, each in one sentence, and say how to mend it.",
        "model_alias": "deep",
        "temperature": 0.3,
    },
    "planner": {
        "name": "Planner",
        "role_prompt": "You turn a goal into steps. Give a numbered list of at most seven steps; each names what is "
        "done, by whom, and how one sees that it is finished.",
        "model_alias": "deep",
        "temperature": 0.3,
    },
}


def seed(app_url: str) -> str:
    """Make what is missing of the demo tenant, and return the id of its session. What a user changed stays."""
    db = Database(app_url)
    try:
        for key, agent in AGENTS.items():
            # Few words: four of them are to be through while somebody waits.
            try:
                record_agent(db, TENANT, key, {"max_output_tokens": 64, "enabled": True, **agent})
            except AgentExists:
                continue
        return str(_session(db))
    finally:
        db.close()


def _session(db: Database) -> UUID:
    oldest = load_sessions(db, Actor(TENANT, USER), PageRequest(limit=1, order="asc")).items
    if oldest:
        return UUID(str(oldest[0]["id"]))
    fields: dict[str, object] = {"mode": "manual", "agent_keys": list(AGENTS), "fan_out": "sequential"}
    session_id = uuid7()
    record_session(db, TENANT, USER, session_id, {"title": "Demo", **fields})
    return session_id
