"""Settle calls of unknown outcome by the provider's own record. Run as `pantheon_ops`.

One transaction takes a call out of `unknown` and adjusts the ledger and the months. A second reconciler or a late
outcome then finds it settled, and changes nothing. Only a posted call is settled, because before that its turn records
the outcome.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, DateTime, Double, Text, Uuid, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.protocol import RECONCILE
from shared.db.schema.columns import COUNTS
from shared.db.schema.tables import llm_calls, usage_ledger
from shared.settings import budget_settings

# The hour of a call. Records are compared hour by hour.
_hour = func.date_trunc("hour", llm_calls.c.created_at, "UTC")
in_suspense = (
    (usage_ledger.c.kind == "post")
    & (usage_ledger.c.account == "suspense")
    & (usage_ledger.c.call_id == llm_calls.c.call_id)
    & (llm_calls.c.status == "unknown")
)

_LOAD = compiled(
    select(
        *(llm_calls.c[name] for name in ("call_id", "provider", "model_id", "status", "rates", "reserve_usd", *COUNTS)),
        llm_calls.c.posted_at.is_not(None).label("posted"),
        _hour.label("hour"),
    ).where(llm_calls.c.call_id == func.any(cast(bindparam("c_call_ids"), ARRAY(Uuid))))
)

# The provider's record has none of these, so the journal keeps its values.
_UNSAID: Mapping[str, None] = {"o_stop_reason": None, "o_error_code": None, "o_provider_request_id": None}


def _silent() -> Statement:
    fields: list[Column[Any]] = [
        Column("provider", Text),
        Column("model_id", Text),
        Column("hour", DateTime(timezone=True)),
    ]
    listed = func.jsonb_to_recordset(bindparam("c_covered", type_=JSONB)).table_valued(*fields)
    covered = listed.render_derived(name="covered", with_types=True)
    old = llm_calls.c.created_at < func.clock_timestamp() - func.make_interval(
        0, 0, 0, 0, 0, 0, cast(bindparam("c_age_s"), Double)
    )
    return compiled(
        select(llm_calls.c.call_id, llm_calls.c.reserve_usd)
        .select_from(usage_ledger, llm_calls, covered)
        .where(
            in_suspense,
            old,
            covered.c.provider == llm_calls.c.provider,
            covered.c.model_id == llm_calls.c.model_id,
            covered.c.hour == _hour,
        )
        .order_by(llm_calls.c.call_id)
    )


_LEFT = compiled(
    select(
        llm_calls.c.provider,
        llm_calls.c.model_id,
        func.count().label("calls"),
        func.sum(llm_calls.c.reserve_usd).label("reserve_usd"),
        func.min(llm_calls.c.created_at).label("oldest"),
    )
    .select_from(usage_ledger, llm_calls)
    .where(in_suspense)
    .group_by(llm_calls.c.provider, llm_calls.c.model_id)
    .order_by(llm_calls.c.provider, llm_calls.c.model_id)
)

LOAD_SILENT = _silent()


def load_calls(db: Database, call_ids: Iterable[UUID]) -> dict[UUID, Row]:
    """Return the journal's rows of `call_ids`, with `posted` and `hour`, without any text."""
    rows = db.read(None, _LOAD, {"c_call_ids": list(call_ids)})
    return {row["call_id"]: row for row in rows}


def record_settlement(db: Database, call_id: UUID, outcome: Mapping[str, Any]) -> bool:
    """Move a posted call out of suspense. `outcome` has status, tokens by class and cost_usd. Returns False if it was
    not in suspense."""
    allowance = {"p_allowance_usd": budget_settings().platform_allowance_usd}
    params = {"o_call_id": call_id, **_UNSAID, **allowance, **{f"o_{name}": value for name, value in outcome.items()}}
    return bool(db.run(None, RECONCILE, params)[0].get("settled"))


def load_silent(db: Database, covered: Iterable[tuple[str, str, datetime]], age_s: float) -> list[Row]:
    """Return `call_id` and `reserve_usd` of the calls in suspense that are at least `age_s` seconds old, in one of the
    `covered` hours of a provider and model id."""
    listed = [{"provider": provider, "model_id": model, "hour": hour.isoformat()} for provider, model, hour in covered]
    return db.read(None, LOAD_SILENT, {"c_covered": json.dumps(listed), "c_age_s": age_s})


def load_left(db: Database) -> list[Row]:
    """Return the calls in suspense by provider and model id: `calls`, `reserve_usd`, and the time of the `oldest`."""
    return db.read(None, _LEFT, {})
