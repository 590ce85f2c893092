"""Taking their verdicts from the calls of a turn that nobody can finish.

What was answered will not be shown, so nobody is to pay for it but the platform. Nothing is read here that could be
the reason why the turn cannot be finished: no text, no rates, no error of another release.
"""

from sqlalchemy import case, select, update

from shared.db.columns import COUNTS
from shared.db.engine import Statement
from shared.db.journal import mine
from shared.db.tables import llm_calls, turns

_COUNTED = (
    "call_id",
    "step",
    "attempt",
    "purpose",
    "model_alias",
    "payer",
    "reserve_usd",
    "status",
    "cost_usd",
    "finished_at",
    *COUNTS,
)


def _forfeit() -> Statement:
    fence = select(turns.c.id).where(*mine()).with_for_update(key_share=True).cte("fence")
    answered = llm_calls.c.verdict == "reply"
    return Statement(
        update(llm_calls)
        .where(llm_calls.c.turn_id == fence.c.id)
        .values(
            verdict=case((answered, "failed"), else_=llm_calls.c.verdict),
            error_code=case((answered, "turn_abandoned"), else_=llm_calls.c.error_code),
        )
        .returning(*(llm_calls.c[name] for name in _COUNTED))
    )


FORFEIT = _forfeit()
