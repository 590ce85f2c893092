"""Read the audit trail of a turn."""

from uuid import UUID

from sqlalchemy import Boolean, bindparam, or_, select

from shared.db.api.visibility import about, visible
from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.schema.tables import audit_events, llm_calls, sessions, turns
from shared.domain.actor import Actor
from shared.errors import NotFound

_id = bindparam("b_id", type_=sessions.c.id.type)
_AUDIT = compiled(
    select(*(audit_events.c[name] for name in ("event", "user_id", "detail", "created_at")))
    .join(turns, turns.c.id == audit_events.c.turn_id)
    .where(audit_events.c.turn_id == _id, turns.c.deleted_at.is_(None))
    .order_by(audit_events.c.id)
)
# Read from the calls and not stored in the event, because deleting the session deletes them.
_FOR_ADMINS = ("provider_message", "thinking")
_ATTEMPTS = compiled(
    select(llm_calls.c.call_id, *(llm_calls.c[name] for name in _FOR_ADMINS))
    .join(turns, turns.c.id == llm_calls.c.turn_id)
    .where(llm_calls.c.turn_id == _id, turns.c.deleted_at.is_(None))
    .where(or_(*(llm_calls.c[name].is_not(None) for name in _FOR_ADMINS)))
    .where(bindparam("a_is_admin", type_=Boolean))
)
_TURN = compiled(
    select(turns.c.id)
    .join(sessions, sessions.c.id == turns.c.session_id)
    .where(turns.c.id == _id, turns.c.deleted_at.is_(None), visible)
)


def load_audit(db: Database, actor: Actor, turn_id: UUID) -> list[Row]:
    """The events of a turn, each attempt with the provider's own message and the model's thinking, which only admins
    see. There are none until it is published. Raises NotFound."""
    params = about(actor, turn_id)
    found, events, calls = db.read_all(actor.tenant_id, *((each, params) for each in (_TURN, _AUDIT, _ATTEMPTS)))
    if not found:
        raise NotFound("There is no such turn.")
    known = {str(call["call_id"]): call for call in calls}
    for event in events:
        for attempt in event["detail"]["attempts"]:
            attempt |= {name: known.get(attempt["call_id"], {}).get(name) for name in _FOR_ADMINS}
    return events
