"""Count the waiting turns of all tenants, and send the due ones to the queue.

A turn's row is its own outbox. While the turn is active, `dispatch_after` is the next time to send it. That time is
moved before the turn is sent, so a failed send is repeated at the next one.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, bindparam, cast, func, literal, select, update

from shared.db.compiler import compiled
from shared.db.engine import LONG_ANSWER_S, Database, Statement
from shared.db.operations.time_limit import read_within, run_within
from shared.db.schema.tables import active, turns
from shared.domain.message import TurnMessage
from shared.graph_names import is_graph

# Seconds until a turn is sent again: a minute, or a tenth of its age if that is longer, so that copies do not fill a
# long queue. The maximum is a quarter of an hour.
AGAIN_S = 60
AGAIN_AT_MOST_S = 900
_OF_ITS_AGE = 0.1
_DAY_S = 24 * 60 * 60

_clock = func.clock_timestamp()


def _clock_in(seconds: ColumnElement[Any]) -> ColumnElement[Any]:
    """The database's clock, `seconds` from now."""
    return _clock + func.make_interval(0, 0, 0, 0, 0, 0, cast(seconds, Double))


_due = turns.c.dispatch_after <= _clock
_age_s = cast(func.extract("epoch", _clock - turns.c.created_at), Double)


def _move_on() -> Statement:
    """Postpone and return due turns. Concurrent sweepers take different turns, and skip a turn that is being
    claimed."""
    oldest_first = func.row_number().over(partition_by=turns.c.tenant_id, order_by=turns.c.dispatch_after)
    ranked = select(turns.c.id, oldest_first.label("place")).where(active, _due).subquery("ranked")
    found = (
        select(turns.c.id)
        .join(ranked, ranked.c.id == turns.c.id)
        # Repeated, because Postgres evaluates only this for a turn that another sweeper has postponed meanwhile.
        .where(active, _due)
        # First each tenant's oldest turn, then each tenant's second, so that no tenant waits for all turns of another.
        .order_by(ranked.c.place, turns.c.dispatch_after)
        .limit(bindparam("b_limit"))
        .with_for_update(of=turns, key_share=True, skip_locked=True)
        .cte("due")
    )
    again_s = func.least(func.greatest(literal(AGAIN_S), _age_s * _OF_ITS_AGE), literal(AGAIN_AT_MOST_S))
    return compiled(
        update(turns)
        .where(turns.c.id == found.c.id)
        .values(dispatch_after=_clock_in(again_s))
        .returning(turns.c.id, turns.c.tenant_id, turns.c.mode)
    )


_MOVE_ON = _move_on()
_ACTIVITY = compiled(
    select(
        func.count().label("active"),
        func.count().filter(_due).label("due"),
        func.coalesce(func.max(_age_s), 0.0).label("oldest_s"),
    ).where(active)
)
# Only for people who ask, because it reads all turns.
_of_last_day = turns.c.created_at >= _clock_in(literal(-_DAY_S))
_OF_LAST_DAY = compiled(
    select(turns.c.status, func.count().label("turns"))
    .where(_of_last_day)
    .group_by(turns.c.status)
    .order_by(turns.c.status)
)
_took_s = cast(func.extract("epoch", turns.c.completed_at - turns.c.created_at), Double)
_PERCENTILES = compiled(
    select(
        *(
            func.percentile_cont(literal(per_cent / 100)).within_group(_took_s).label(f"p{per_cent}")
            for per_cent in (50, 95, 99)
        )
    ).where(_of_last_day)
)


@dataclass(frozen=True, slots=True)
class Activity:
    """The turns that have not ended, how many of them are due, and the oldest one's age in seconds."""

    active: int
    due: int
    oldest_s: float


def load_activity(db: Database, seconds: float = LONG_ANSWER_S) -> Activity:
    """`db` has the role for operations. Raises DatabaseUnavailable after `seconds`."""
    ((row,),) = read_within(db, seconds, (_ACTIVITY, {}))
    return Activity(**row)


def load_turns_of_last_day(db: Database) -> dict[str, int]:
    """Return the number of turns of the last 24 hours by status. `db` has the role for operations."""
    return {row["status"]: row["turns"] for row in db.read(None, _OF_LAST_DAY, {})}


def load_seconds_of_last_day(db: Database) -> dict[str, float | None]:
    """Return `p50`, `p95` and `p99` of the seconds from creation to end of the last 24 hours' turns. None if none has
    ended."""
    return dict(db.read(None, _PERCENTILES, {})[0])


def record_dispatch(db: Database, limit: int, seconds: float = LONG_ANSWER_S) -> list[TurnMessage]:
    """Postpone up to `limit` due turns and return their messages. Tenants alternate, most overdue turns first. Raises
    DatabaseUnavailable after `seconds`."""
    (rows,) = run_within(db, seconds, (_MOVE_ON, {"b_limit": limit}))
    return [TurnMessage(row["id"], row["tenant_id"], is_graph(row["mode"])) for row in rows]
