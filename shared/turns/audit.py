"""Build the audit event of a published turn."""

from collections.abc import Iterable
from typing import Any

from shared.domain.turn import Turn
from shared.turns.call import Call


def audit_detail(turn: Turn, calls: Iterable[Call]) -> dict[str, Any]:
    """Return the event's detail, which is stored as JSON. It has no text of the user or of a model."""
    return {
        "status": turn.status,
        # Unknown tags are left out: they are the user's text, and deleting the session must remove it.
        "selected_agent_keys": list(turn.plan.selected_agent_keys) if turn.plan else [],
        "plan_source": turn.plan and turn.plan.source,
        "agents": [{"key": r.agent_key, "version": r.agent_version, "status": r.status} for r in turn.replies],
        "model_aliases": [reply.model_alias for reply in turn.replies],
        **turn.aliases(),
        "fallbacks": [fallback.as_dict() for fallback in turn.fallbacks],
        "attempts": [call.as_audit() for call in calls],
    }
