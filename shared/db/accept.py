"""Accepting a turn: one commit that makes the turn, takes its index, and writes down its first call.

The session row is locked where its next index is still what it was when the context was loaded; otherwise nothing is
written, and the caller loads again. A refused hold leaves the first intent without a payer, which the table refuses,
so that the whole statement is undone: no turn without money for its first call.
"""

from typing import Any

from sqlalchemy import bindparam, func, insert, literal, null, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from shared.db.budgets import ceiling, this_month
from shared.db.engine import Statement, typed
from shared.db.journal import clock_in, count, hold, intents
from shared.db.tables import PLATFORM, budget_months, llm_calls, sessions, turns

# The caller gives these with `t_` before them.
TURN_FIELDS = (
    "id",
    "tenant_id",
    "user_id",
    "idempotency_key",
    "fingerprint",
    "message",
    "mode",
    "fan_out",
    "requested_agent_keys",
    "roster",
    "plan",
)
# How far ahead the sweeper looks for a turn that was handed to the queue.
DISPATCH_AFTER_S = 60


def _accept(*, run_here: bool) -> Statement:
    locked = (
        select(sessions.c.id, sessions.c.next_turn_index)
        .where(
            sessions.c.id == bindparam("t_session_id"),
            sessions.c.deleted_at.is_(None),
            sessions.c.next_turn_index == bindparam("t_turn_index"),
        )
        .with_for_update(key_share=True)
        .cte("locked")
    )
    lease_end: ColumnElement[Any] = clock_in(bindparam("t_lease_s")) if run_here else null()
    columns = [
        "session_id",
        "turn_index",
        "status",
        "lease_epoch",
        "lease_expires_at",
        "dispatch_after",
        *TURN_FIELDS,
    ]
    source = select(
        locked.c.id,
        locked.c.next_turn_index,
        literal("running" if run_here else "accepted"),
        literal(1 if run_here else 0),
        lease_end,
        lease_end if run_here else clock_in(literal(DISPATCH_AFTER_S)),
        *(typed(f"t_{name}", turns.c[name]) for name in TURN_FIELDS),
    )
    # An agent's hold is refused by the budget itself; without one, the tenant must have something left.
    agents_call = typed("i_payer", llm_calls.c.payer) != PLATFORM
    source = source.where(or_(agents_call, _has_money()) if run_here else _has_money())
    turn = (
        insert(turns)
        .from_select(columns, source)
        .returning(turns.c.id, turns.c.tenant_id, turns.c.session_id, turns.c.created_at)
        .cte("turn")
    )
    bump = (
        update(sessions)
        .where(sessions.c.id == turn.c.session_id)
        .values(next_turn_index=sessions.c.next_turn_index + 1, updated_at=func.clock_timestamp())
        .cte("bump")
    )
    accepted = select(
        select(turn.c.created_at).scalar_subquery().label("created_at"),
        func.clock_timestamp().label("now"),
        count(locked).label("locked"),
    ).add_cte(bump)
    if not run_here:
        return Statement(accepted)
    held = hold(turn, typed("i_payer", llm_calls.c.payer))
    return Statement(accepted.add_cte(intents(turn, held)))


def _has_money() -> ColumnElement[bool]:
    """Without an intent there is no hold to refuse, so the tenant's month must have something left."""
    payer = literal("tenant:") + bindparam("t_tenant_id", type_=turns.c.tenant_id.type)
    used = (
        select(budget_months.c.spent_usd + budget_months.c.held_usd)
        .where(budget_months.c.payer == payer, budget_months.c.period == this_month())
        .scalar_subquery()
    )
    return func.coalesce(used, 0) < ceiling(payer)


ACCEPT_AND_OPEN = _accept(run_here=True)
ACCEPT = _accept(run_here=False)
