"""Track which hours of the provider's log were read, and decide which calls have no record. Run as `pantheon_ops`.

An hour is read when it is over. It is read again after a call that may be in it was posted. It is read once more when a
call in suspense is so old that no record will come. A call counts as missing from the log only if every hour that may
have its record was read after these times. The read must begin at the start of the hour, reach its end, and find every
line readable. Other calls of its model must be in the log of its hour.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Double,
    Integer,
    Text,
    bindparam,
    case,
    cast,
    exists,
    extract,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.operations.suspense import in_suspense
from shared.db.schema.tables import invocation_log_hours as hours
from shared.db.schema.tables import llm_calls, usage_ledger

# The provider's name in the packaged catalog. The previous release stored the kind, which is the same word, so both
# releases write the same text in `models`.
_PACKAGED = "bedrock"
# Older calls are not searched for.
_LOOK_BACK_DAYS = 14
# A log's objects arrive some minutes after their calls.
_DELIVERY_MINUTES = 30
# A call's record is in the call's hour or the next one, and clocks differ.
_RECORD_MINUTES = 60
_CLOCKS_MINUTES = 5
# A publish takes its time a moment before it commits.
_COMMIT_MINUTES = 1

_now = func.clock_timestamp()
_this = hours.c.hour == bindparam("b_hour")
# Starting an hour again takes it from its other readers.
_mine = hours.c.started_at == bindparam("b_started_at")


def _interval(*, days: int = 0, minutes: int = 0) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, days, 0, minutes)


def _hour_of(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.date_trunc("hour", moment, "UTC")


def covered_model(provider: str, model_id: str) -> str:
    """Return the text for a provider's model in `models`. It has the provider's name, because other Regions have the
    same model ids and other logs."""
    return model_id if provider == _PACKAGED else f"{provider} {model_id}"


# The same text, computed from a call's row.
_covered = case(
    (llm_calls.c.provider == _PACKAGED, llm_calls.c.model_id), else_=llm_calls.c.provider + " " + llm_calls.c.model_id
)


def _suspended() -> CTE:
    """Select the calls in suspense of the log's providers.

    `made` is the hour of the call. `first` and `last` are the hours that may have its record. A reading that starts
    after `posted` can settle the call. If one that starts after `silent` finds no record, there is none."""
    silent = llm_calls.c.created_at + func.make_interval(0, 0, 0, 0, 0, 0, cast(bindparam("b_age_s"), Double))
    posted = llm_calls.c.posted_at + _interval(minutes=_COMMIT_MINUTES)
    return (
        select(
            llm_calls.c.call_id,
            llm_calls.c.reserve_usd,
            _covered.label("model"),
            _hour_of(llm_calls.c.created_at).label("made"),
            _hour_of(llm_calls.c.created_at - _interval(minutes=_CLOCKS_MINUTES)).label("first"),
            _hour_of(llm_calls.c.created_at + _interval(minutes=_RECORD_MINUTES)).label("last"),
            posted.label("posted"),
            func.greatest(posted, silent).label("silent"),
        )
        .select_from(usage_ledger, llm_calls)
        .where(
            in_suspense,
            llm_calls.c.provider == func.any(cast(bindparam("b_providers"), ARRAY(Text))),
            usage_ledger.c.created_at > _now - _interval(days=_LOOK_BACK_DAYS),
        )
        .cte("suspended")
    )


def _due() -> Statement:
    suspended = _suspended()
    newest = _hour_of(_now - _interval(minutes=60 + _DELIVERY_MINUTES))
    series = func.generate_series(newest - _interval(days=_LOOK_BACK_DAYS), newest, _interval(minutes=60))
    over = series.table_valued("hour").render_derived(name="over")
    wanted = func.greatest(suspended.c.posted, case((suspended.c.silent <= _now, suspended.c.silent)))
    again = exists().where(
        over.c.hour.between(suspended.c.first, suspended.c.last), hours.c.started_at < wanted, wanted <= _now
    )
    return compiled(
        select(over.c.hour)
        .select_from(over.outerjoin(hours, hours.c.hour == over.c.hour))
        .where(or_(hours.c.read_at.is_(None), again))
        .order_by(over.c.hour)
    )


def _begin() -> Statement:
    """Begin an hour, or continue a reading that did not end."""
    begun = upsert(hours).values(hour=bindparam("b_hour"), started_at=_now)
    ended = hours.c.read_at.is_not(None)
    anew: dict[str, Any] = {"last_key": None, "models": cast([], ARRAY(Text)), "unreadable": 0}
    anew["started_at"] = begun.excluded.started_at
    changes = {name: case((ended, value), else_=hours.c[name]) for name, value in anew.items()}
    return compiled(
        begun.on_conflict_do_update(index_elements=["hour"], set_={**changes, "read_at": None}).returning(
            hours.c.started_at, hours.c.last_key
        )
    )


def _silent() -> Statement:
    suspended = _suspended()
    whole = (
        select(func.count())
        .select_from(hours)
        .where(
            hours.c.hour.between(suspended.c.first, suspended.c.last),
            hours.c.started_at >= suspended.c.silent,
            hours.c.read_at.is_not(None),
            hours.c.unreadable == 0,
        )
        .scalar_subquery()
    )
    needed = extract("epoch", suspended.c.last - suspended.c.first) / 3600 + 1
    there = exists().where(hours.c.hour == suspended.c.made, suspended.c.model == func.any(hours.c.models))
    return compiled(
        select(suspended.c.call_id, suspended.c.reserve_usd)
        .where(whole == cast(needed, Integer), there)
        .order_by(suspended.c.call_id)
    )


_models = cast(bindparam("b_models"), ARRAY(Text))
_DUE = _due()
_BEGIN = _begin()
_ADVANCE = compiled(
    update(hours)
    .where(_this, _mine)
    .values(
        # Bytewise, as S3 orders its keys, in any locale.
        last_key=func.greatest(hours.c.last_key.collate("C"), cast(bindparam("b_key"), Text)),
        models=case((hours.c.models.contains(_models), hours.c.models), else_=hours.c.models.concat(_models)),
        unreadable=hours.c.unreadable + bindparam("b_unreadable"),
    )
    .returning(hours.c.hour)
)
_END = compiled(update(hours).where(_this, _mine).values(read_at=_now).returning(hours.c.hour))
_SILENT = _silent()


@dataclass(frozen=True, slots=True)
class Reading:
    """An hour that is being read since `started_at`. `last_key` is the last object that was read."""

    hour: datetime
    started_at: datetime
    last_key: str | None


def load_due_hours(db: Database, age_s: float, providers: Collection[str]) -> list[datetime]:
    """Return the hours that must be read now for calls of these providers, oldest first. No record of a call arrives
    `age_s` seconds after it."""
    return [row["hour"] for row in db.read(None, _DUE, {"b_age_s": age_s, "b_providers": list(providers)})]


def record_reading(db: Database, hour: datetime) -> Reading:
    """Begin to read an hour, or continue a reading that did not end."""
    row = db.run(None, _BEGIN, {"b_hour": hour})[0]
    return Reading(hour, row["started_at"], row["last_key"])


def record_object(db: Database, reading: Reading, key: str, models: Iterable[str], unreadable: int) -> bool:
    """Record that an object was read. `models` (`covered_model`) are those with calls in this hour; `unreadable` counts
    its unreadable lines. Returns False if another reader has started the hour again."""
    found = {"b_key": key, "b_models": list(models), "b_unreadable": unreadable}
    return bool(db.run(None, _ADVANCE, {**_params(reading), **found}))


def record_end(db: Database, reading: Reading) -> None:
    """Record that the hour was read to its end, unless another reader has started it again."""
    db.run(None, _END, _params(reading))


def load_silent_in_log(db: Database, age_s: float, providers: Collection[str]) -> list[Row]:
    """Return `call_id` and `reserve_usd` of these providers' calls in suspense that are proven not to be in the log."""
    return db.read(None, _SILENT, {"b_age_s": age_s, "b_providers": list(providers)})


def _params(reading: Reading) -> dict[str, object]:
    return {"b_hour": reading.hour, "b_started_at": reading.started_at}
