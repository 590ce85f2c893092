"""The journal: a provider call is written down before it is sent, and its outcome is never undone.

The rules this file protects. An intent needs the turn's fence (its epoch, `running`, no cancel) and its hold. An
outcome needs neither: it is ordered after the fence, because locks are always taken in the order turns, llm_calls,
budgets, but it is not gated by it. Only the verdict is: a runner that lost its lease may still say what a call cost,
and not which attempt is the reply.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    Double,
    FromClause,
    Select,
    Update,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from shared.db.budgets import ceiling, this_month
from shared.db.columns import COUNTS
from shared.db.engine import Statement, typed
from shared.db.settlements import place_hold, settle
from shared.db.tables import PLATFORM, llm_calls, turns, usage_ledger

# What the ledger repeats of a call.
CALL_COLUMNS = ("tenant_id", "session_id", "turn_id", "call_id", "step", "attempt", "period", "purpose")
LEDGER_COLUMNS = (*CALL_COLUMNS, "agent_key", "model_alias", *COUNTS, "rates")
# The caller gives these as the objects of the JSON array `i_calls`, and their common payer and the sum of their
# reserves as `i_payer` and `i_reserve_usd`. One call or several that start together: they share a commit.
INTENT_FIELDS = (
    "call_id",
    "step",
    "attempt",
    "purpose",
    "agent_key",
    "agent_version",
    "model_alias",
    "provider",
    "model_id",
    "request_hash",
    "reserve_usd",
    "rates",
)
# The caller gives these with `o_` before them, and `o_call_id` as None where there is no outcome to record.
OUTCOME_FIELDS = (
    "status",
    "verdict",
    *COUNTS,
    "cost_usd",
    "output",
    "stop_reason",
    "error_code",
    "provider_request_id",
)

o_call_id = bindparam("o_call_id", type_=llm_calls.c.call_id.type)
unsettled = llm_calls.c.status.in_(("intent", "unknown"))


def count(cte: FromClause) -> ColumnElement[int]:
    return select(func.count()).select_from(cte).scalar_subquery()


def clock_in(seconds: ColumnElement[Any]) -> ColumnElement[Any]:
    """The database's clock, `seconds` from now."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, cast(seconds, Double))


def mine() -> tuple[ColumnElement[bool], ...]:
    """The fence: this runner's claim on the turn is the newest one, and the turn has not ended."""
    return (
        turns.c.id == bindparam("t_id"),
        turns.c.lease_epoch == bindparam("t_epoch"),
        turns.c.status == "running",
    )


def outcome(fence: CTE, **changes: object) -> Update:
    """Record the outcome of `o_call_id`. Ordered after `fence` by its count, which is always at least zero."""
    values: dict[str, Any] = {name: typed(f"o_{name}", llm_calls.c[name]) for name in OUTCOME_FIELDS}
    values["verdict"] = case((exists(select(fence)), values["verdict"]))
    values["finished_at"] = func.clock_timestamp()
    return (
        update(llm_calls).where(llm_calls.c.call_id == o_call_id, unsettled, count(fence) >= 0).values(values | changes)
    )


def account(call: FromClause) -> ColumnElement[str]:
    """Who pays: the payer for the attempt that carries the verdict, nobody yet for an unknown outcome, the platform
    for everything else."""
    charged = and_(call.c.verdict == "reply", call.c.payer != PLATFORM)
    return case((charged, "tenant"), (call.c.status == "unknown", "suspense"), else_=PLATFORM)


def hold(origin: CTE, payer: ColumnElement[str], *conditions: ColumnElement[bool]) -> CTE:
    """Hold `i_reserve_usd` in the payer's month, if its limit allows. Where it does not, the statement has to fail, by
    `intents` of the same conditions."""
    usd = typed("i_reserve_usd", llm_calls.c.reserve_usd).label("held_usd")
    month = select(payer.label("payer"), this_month().label("period"), usd, ceiling(payer).label("most"))
    return place_hold(month.select_from(origin).where(*conditions).cte("asked"))


def rows(parameter: str, columns: Sequence[Column[Any]]) -> FromClause:
    """A JSON array of objects as rows, typed as in the table."""
    fields = [Column(column.name, column.type) for column in columns]
    listed = func.jsonb_to_recordset(bindparam(parameter, type_=JSONB)).table_valued(*fields)
    return listed.render_derived(name=parameter, with_types=True)


def intents(origin: CTE, held: CTE, *conditions: ColumnElement[bool]) -> CTE:
    """Write the calls down before they are sent. Without a hold their payer is NULL, which the table refuses, so that
    nothing of the statement happens."""
    calls = rows("i_calls", [llm_calls.c[name] for name in INTENT_FIELDS])
    columns = ["tenant_id", "session_id", "turn_id", "status", "payer", "period", *INTENT_FIELDS]
    source: Select[Any] = select(
        origin.c.tenant_id,
        origin.c.session_id,
        origin.c.id,
        literal("intent"),
        select(held.c.payer).scalar_subquery(),
        select(held.c.period).scalar_subquery(),
        *(calls.c[name] for name in INTENT_FIELDS),
    )
    return insert(llm_calls).from_select(columns, source.select_from(origin, calls).where(*conditions)).cte("intents")


def _open() -> Statement:
    lease_end = func.greatest(turns.c.lease_expires_at, clock_in(bindparam("t_lease_s")))
    fence = (
        update(turns)
        .where(*mine())
        .values(
            lease_expires_at=lease_end,
            dispatch_after=lease_end,
            plan=func.coalesce(turns.c.plan, typed("t_plan", turns.c.plan)),
        )
        .returning(
            turns.c.id,
            turns.c.tenant_id,
            turns.c.session_id,
            (turns.c.cancel_requested_at.is_(None) & turns.c.deleted_at.is_(None)).label("wanted"),
        )
        .cte("fence")
    )
    recorded = outcome(fence).where(llm_calls.c.posted_at.is_(None)).returning(llm_calls.c.call_id).cte("recorded")
    held = hold(fence, typed("i_payer", llm_calls.c.payer), fence.c.wanted, count(recorded) >= 0)
    return Statement(
        select(
            count(fence).label("fenced"),
            select(fence.c.wanted).scalar_subquery().label("wanted"),
            count(recorded).label("recorded"),
        ).add_cte(intents(fence, held, fence.c.wanted))
    )


def _record() -> Statement:
    """An outcome alone. Where the call was posted at its reserve already, what it really cost is appended, to the
    platform: its reply came too late for anybody to pay for it."""
    fence = select(turns.c.id).where(*mine()).with_for_update(read=True).cte("fence")
    open_ = llm_calls.c.posted_at.is_(None)
    recorded = (
        outcome(fence, output=case((open_, typed("o_output", llm_calls.c.output))))
        .returning(*(llm_calls.c[name] for name in LEDGER_COLUMNS), llm_calls.c.reserve_usd, llm_calls.c.cost_usd)
        .returning(llm_calls.c.posted_at, llm_calls.c.status)
        .cte("recorded")
    )
    late = recorded.c.posted_at.is_not(None) & (recorded.c.status != "unknown")
    return Statement(select(count(recorded).label("recorded")).add_cte(*adjustments(recorded, late)))


def adjustments(call: CTE, *conditions: ColumnElement[bool]) -> tuple[CTE, ...]:
    """Take the reserve at which `call` was posted out of suspense, and charge what it cost to the platform, in the
    month of its hold. `call` has LEDGER_COLUMNS, `reserve_usd` and `cost_usd`, of one row at most: it belongs into the
    statement that moves that call out of `unknown`."""
    no_tokens = [literal(0) for _ in COUNTS]
    out_of_suspense = _entry(call, "suspense", -call.c.reserve_usd, no_tokens).where(*conditions)
    to_platform = _entry(call, PLATFORM, call.c.cost_usd, [call.c[name] for name in COUNTS]).where(*conditions)
    columns = ["kind", "account", "amount_usd", *CALL_COLUMNS, "agent_key", "model_alias", "rates", *COUNTS]
    adjusted = insert(usage_ledger).from_select(columns, out_of_suspense.union_all(to_platform)).cte("adjusted")
    spent = select(
        literal(PLATFORM).label("payer"),
        call.c.period,
        literal(0).label("held_usd"),
        call.c.cost_usd.label("spent_usd"),
    )
    return adjusted, *settle(spent.where(*conditions, call.c.cost_usd > 0).cte("spent"))


def _entry(call: CTE, account: str, amount: ColumnElement[Any], tokens: Sequence[ColumnElement[Any]]) -> Select[Any]:
    repeated = [call.c[name] for name in (*CALL_COLUMNS, "agent_key", "model_alias", "rates")]
    return select(literal("adjustment"), literal(account), amount, *repeated, *tokens)


OPEN = _open()
RECORD = _record()
