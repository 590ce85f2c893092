"""Read the calls of a turn from the journal, each with the reason for which the ledger has it."""

from uuid import UUID

from sqlalchemy import bindparam, select

from shared.db.api.visibility import about, visible
from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.schema.columns import TOKENS
from shared.db.schema.tables import llm_calls, sessions, turns, usage_entries
from shared.domain.actor import Actor
from shared.errors import NotFound

_SHOWN = ("step", "attempt", "purpose", "agent_key", "model_alias", "status", "verdict", "cost_usd", *TOKENS)
_id = bindparam("b_id", type_=turns.c.id.type)
# Found by the call. For a join, the planner may read a tenant's whole ledger.
_reason = (
    select(usage_entries.c.reason)
    .where(usage_entries.c.call_id == llm_calls.c.call_id, usage_entries.c.kind == "post")
    .correlate(llm_calls)
    .scalar_subquery()
)
_times = (llm_calls.c.created_at.label("started_at"), llm_calls.c.finished_at.label("ended_at"))
# A turn without a call is one row without a step. Without any row, the actor does not see the turn.
_CALLS = compiled(
    select(*(llm_calls.c[name] for name in _SHOWN), *_times, _reason.label("reason"))
    .select_from(
        turns.join(sessions, sessions.c.id == turns.c.session_id).outerjoin(
            llm_calls, llm_calls.c.turn_id == turns.c.id
        )
    )
    .where(turns.c.id == _id, turns.c.deleted_at.is_(None), visible)
    .order_by(llm_calls.c.step, llm_calls.c.attempt)
)


def load_turn_calls(db: Database, actor: Actor, turn_id: UUID) -> list[Row]:
    """The calls of a turn by step and attempt, those that still run included. `reason` is None until the call is
    posted. Raises NotFound."""
    rows = db.read(actor.tenant_id, _CALLS, about(actor, turn_id))
    if not rows:
        raise NotFound("There is no such turn.")
    return [row for row in rows if row["step"] is not None]
