"""Reads across tenants, by indexes, that end by Postgres's own limit, however much there is to be read."""

from sqlalchemy import Text, bindparam, func, select

from shared.db.engine import ANSWER_S, Database, Params, Row, Statement

# Ahead of others in their transaction, whose alone it is.
LIMITS = Statement(
    select(
        func.set_config("statement_timeout", bindparam("b_milliseconds", type_=Text), True),
        # Planned for these values: a plan for any time at all would read a table from its beginning.
        func.set_config("plan_cache_mode", "force_custom_plan", True),
        # That nearly no row is another month's is in no statistics: by those, all of the ledger would be read for them.
        func.set_config("enable_seqscan", "off", True),
    )
)


def read_within(db: Database, seconds: float, *work: tuple[Statement, Params]) -> list[list[Row]]:
    """The rows of each statement, which has so many seconds. Raises DatabaseUnavailable where that is not enough."""
    # Postgres ends each statement by its own limit before that.
    answer_s = len(work) * seconds + ANSWER_S
    return db.read_all(None, (LIMITS, limits(seconds)), *work, answer_s=answer_s)[1:]


def limits(seconds: float) -> Params:
    # Zero would be no limit.
    return {"b_milliseconds": str(max(1, int(seconds * 1000)))}
