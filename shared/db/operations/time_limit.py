"""Run statements across tenants with a time limit that Postgres enforces, and by indexes."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Text, bindparam, func, select

from shared.db.compiler import compiled
from shared.db.engine import Database, Params, Row, Statement

# Postgres ends a statement by its limit. The answer that says so may take this much longer.
GRACE_S: Final = 0.5
# Goes ahead of other statements, and is in force for their transaction only.
LIMITS = compiled(
    select(
        func.set_config("statement_timeout", bindparam("b_milliseconds", type_=Text), True),
        # Plan for the values given: a generic plan would read a table from its beginning.
        func.set_config("plan_cache_mode", "force_custom_plan", True),
        # Statistics do not say that few rows belong to another month. By them the planner would read the whole ledger.
        func.set_config("enable_seqscan", "off", True),
    )
)


def run_within(db: Database, seconds: float, *work: tuple[Statement, Params]) -> list[list[Row]]:
    """Run statements that may take `seconds` each, and return the rows of each. Raises DatabaseUnavailable then."""
    return db.run_all(None, (LIMITS, limits(seconds)), *work, answer_s=_answer_s(seconds, work))[1:]


def read_within(db: Database, seconds: float, *work: tuple[Statement, Params]) -> list[list[Row]]:
    """`run_within` for statements that change nothing."""
    return db.read_all(None, (LIMITS, limits(seconds)), *work, answer_s=_answer_s(seconds, work))[1:]


def _answer_s(seconds: float, work: Sequence[object]) -> float:
    """How long an answer may take. Postgres ends each statement by its own limit before that."""
    return len(work) * seconds + GRACE_S


def limits(seconds: float) -> Params:
    # Zero would be no limit.
    return {"b_milliseconds": str(max(1, int(seconds * 1000)))}
