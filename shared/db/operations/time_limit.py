"""Run statements over all tenants with a time limit that Postgres enforces, and with index scans."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Text, bindparam, func, select

from shared.db.compiler import compiled
from shared.db.engine import Database, Params, Row, Statement

# Seconds. Postgres's timeout error may take this much longer to arrive.
GRACE_S: Final = 0.5
# Sent before other statements. It holds for their transaction only.
LIMITS = compiled(
    select(
        func.set_config("statement_timeout", bindparam("b_milliseconds", type_=Text), True),
        # Plan for the given values: a generic plan would read a table from its beginning.
        func.set_config("plan_cache_mode", "force_custom_plan", True),
        # Statistics do not show that few rows belong to another month. With them, the planner would read the whole
        # ledger.
        func.set_config("enable_seqscan", "off", True),
    )
)


def run_within(db: Database, seconds: float, *work: tuple[Statement, Params]) -> list[list[Row]]:
    """Run statements of at most `seconds` each, and return the rows of each. Raises DatabaseUnavailable after that."""
    return db.run_all(None, (LIMITS, limits(seconds)), *work, answer_s=_answer_s(seconds, work))[1:]


def read_within(db: Database, seconds: float, *work: tuple[Statement, Params]) -> list[list[Row]]:
    """Run statements that change nothing, as `run_within` does."""
    return db.read_all(None, (LIMITS, limits(seconds)), *work, answer_s=_answer_s(seconds, work))[1:]


def _answer_s(seconds: float, work: Sequence[object]) -> float:
    """Return the longest time for an answer. Postgres ends each statement by its own limit before."""
    return len(work) * seconds + GRACE_S


def limits(seconds: float) -> Params:
    # Zero would mean no limit.
    return {"b_milliseconds": str(max(1, int(seconds * 1000)))}
