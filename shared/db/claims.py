"""Claiming a turn that nobody runs any more, and handing one over.

A claim is two statements in one transaction: in READ COMMITTED a statement that waited for a lock still sees the old
snapshot of other rows, so only a second statement may look at the calls of the turn that the first one locked.
"""

from sqlalchemy import bindparam, case, func, literal, or_, select, update

from shared.db.accept import DISPATCH_AFTER_S
from shared.db.engine import Statement
from shared.db.journal import clock_in, count, mine, outcome
from shared.db.tables import llm_calls, turns

# Enough to load the turn and to write its next intent, which sets a lease of its own.
CLAIM_LEASE_S = 30
# So many claims that brought nothing, and the turn is given up. One more means that giving it up failed as well.
FRUITLESS_CLAIMS = 3

_this = turns.c.id == bindparam("t_id")
_of_turn = llm_calls.c.turn_id == bindparam("t_id")
_expired = (turns.c.status == "running") & (turns.c.lease_expires_at < func.clock_timestamp())

LOCK_ABANDONED = Statement(
    select(turns.c.id).where(_this, or_(turns.c.status == "accepted", _expired)).with_for_update()
)


def _claim() -> Statement:
    lost = (
        update(llm_calls)
        .where(_of_turn, llm_calls.c.status == "intent")
        .values(status="unknown", cost_usd=llm_calls.c.reserve_usd)
        .cte("lost")
    )
    outcomes = select(func.count(llm_calls.c.finished_at)).where(_of_turn).scalar_subquery()
    fruitless = (turns.c.status == "running") & (outcomes == turns.c.outcomes_at_claim)
    lease_end = clock_in(literal(CLAIM_LEASE_S))
    return Statement(
        update(turns)
        .where(_this)
        .values(
            status="running",
            lease_epoch=turns.c.lease_epoch + 1,
            lease_expires_at=lease_end,
            dispatch_after=lease_end,
            expired_claims=turns.c.expired_claims + case((fruitless, 1), else_=0),
            outcomes_at_claim=outcomes,
        )
        .returning(*turns.c, func.clock_timestamp().label("now"))
        .add_cte(lost)
    )


def _release() -> Statement:
    """Give the turn back to the queue, with the last outcome. A hand-over without a call since its claim counts as
    one that brought nothing."""
    outcomes = select(func.count(llm_calls.c.finished_at)).where(_of_turn).scalar_subquery()
    fence = select(turns.c.id).where(*mine()).with_for_update(key_share=True).cte("fence")
    recorded = outcome(fence).where(llm_calls.c.posted_at.is_(None)).returning(llm_calls.c.call_id).cte("recorded")
    fruitless = outcomes + count(recorded) == turns.c.outcomes_at_claim
    released = (
        update(turns)
        .where(turns.c.id == fence.c.id)
        .values(
            status="accepted",
            lease_expires_at=None,
            dispatch_after=clock_in(literal(DISPATCH_AFTER_S)),
            expired_claims=turns.c.expired_claims + case((fruitless, 1), else_=0),
        )
        .returning(turns.c.id)
        .cte("released")
    )
    return Statement(select(count(released).label("released"), count(recorded).label("recorded")))


CLAIM = _claim()
RELEASE = _release()
# Nobody but who gives a turn up ends one as failed after so many claims.
GIVEN_UP = Statement(
    select(turns.c.id).where(
        _this, turns.c.status == "failed", turns.c.deleted_at.is_(None), turns.c.expired_claims >= FRUITLESS_CLAIMS
    )
)
