"""Publishing a turn: everything that it learned becomes visible in one commit, or none of it does.

The turn is locked first. Its status, replies, summary, audit event and response are written only where the lock found
the marks (cancel, delete) and the lost calls for which the response was built; otherwise the caller builds it again.
What is posted to the ledger are exactly the rows that this statement marked as posted. The last outcome is recorded in
any case.
"""

from sqlalchemy import (
    CTE,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from shared.db.columns import TOKENS
from shared.db.engine import Statement, typed
from shared.db.journal import LEDGER_COLUMNS, account, count, mine, outcome, rows
from shared.db.sessions import without_tags
from shared.db.settlements import settle
from shared.db.tables import (
    PLATFORM,
    audit_events,
    llm_calls,
    replies,
    summaries,
    turns,
    usage_ledger,
)

REPLY_FIELDS = (
    "position",
    "agent_key",
    "agent_version",
    "name",
    "status",
    "text",
    "stop_reason",
    "error_code",
    "model_alias",
    *TOKENS,
    "cost_usd",
)
SUMMARY_FIELDS = (
    "id",
    "through_turn_index",
    "text",
    "key_facts",
    "decisions",
    "open_questions",
    "action_items",
    "archived",
    "fallbacks",
    "items",
    "archive",
    "last_numbers",
)
_POSTED = (*LEDGER_COLUMNS, "payer", "reserve_usd", "status", "verdict", "cost_usd")


def _lock() -> CTE:
    cancelled = turns.c.cancel_requested_at.is_not(None).label("cancelled")
    deleted = turns.c.deleted_at.is_not(None).label("deleted")
    return select(turns.c.id, cancelled, deleted).where(*mine()).with_for_update(key_share=True).cte("fence")


def _lost(fence: CTE) -> CTE:
    """The calls that died with an earlier runner, as far as nobody knows better by now. They are locked: an outcome
    that comes later waits, and becomes an adjustment."""
    unheard = (llm_calls.c.status == "unknown", llm_calls.c.finished_at.is_(None))
    locked = select(llm_calls.c.call_id).where(llm_calls.c.turn_id == fence.c.id, *unheard)
    return locked.with_for_update(of=llm_calls).cte("lost")


def _finish(fence: CTE, lost: CTE) -> CTE:
    plan = func.coalesce(turns.c.plan, typed("t_plan", turns.c.plan))
    seen = and_(
        fence.c.cancelled == bindparam("t_saw_cancel"),
        fence.c.deleted == bindparam("t_saw_delete"),
        count(lost) == bindparam("t_saw_lost"),
    )
    return (
        update(turns)
        .where(turns.c.id == fence.c.id, seen)
        .values(
            status=typed("t_status", turns.c.status),
            plan=case((fence.c.deleted, without_tags(plan)), else_=plan),
            response=typed("t_response", turns.c.response),
            completed_at=typed("t_completed_at", turns.c.completed_at),
            message=case((fence.c.deleted, ""), else_=turns.c.message),
            lease_expires_at=null(),
            dispatch_after=null(),
        )
        .returning(turns.c.id, turns.c.tenant_id, turns.c.session_id, turns.c.user_id)
        .cte("published")
    )


def _post(fence: CTE, published: CTE) -> tuple[CTE, FromClause]:
    """Mark the turn's calls as posted; text leaves the journal, since the replies hold it now. A statement cannot see
    its own changes, so the last outcome's row comes from its RETURNING and not from the table."""
    ended = exists(select(published))
    columns = [llm_calls.c[name] for name in _POSTED]
    last = outcome(
        fence,
        posted_at=case((ended, func.clock_timestamp())),
        output=case((~ended, typed("o_output", llm_calls.c.output))),
    )
    recorded = last.where(llm_calls.c.posted_at.is_(None)).returning(*columns).cte("recorded")
    lost = llm_calls.c.status == "intent"
    posted = (
        update(llm_calls)
        .where(
            llm_calls.c.turn_id == published.c.id,
            llm_calls.c.posted_at.is_(None),
            # Not by its id: the last outcome may have come over another connection while this statement waited, and
            # then it is in the table and not among the recorded.
            ~exists(select(recorded.c.call_id).where(recorded.c.call_id == llm_calls.c.call_id)),
        )
        .values(
            posted_at=func.clock_timestamp(),
            output=null(),
            cost_usd=case((lost, llm_calls.c.reserve_usd), else_=llm_calls.c.cost_usd),
            status=case((lost, "unknown"), else_=llm_calls.c.status),
        )
        .returning(*columns)
        .cte("posted")
    )
    return recorded, union_all(select(recorded).where(ended), select(posted)).cte("entries")


def _settle(entries: FromClause) -> tuple[CTE, CTE]:
    """Release every hold of the turn, and add what was posted to the months in which the holds were taken; tenants
    before the platform, older months first."""
    payer = account(entries)
    spender = case((payer == "tenant", entries.c.payer), (payer == PLATFORM, PLATFORM))
    released = select(
        entries.c.payer, entries.c.period, (-entries.c.reserve_usd).label("held"), literal(0).label("spent")
    )
    spent = select(spender.label("payer"), entries.c.period, literal(0), entries.c.cost_usd).where(
        or_(payer == "tenant", payer == PLATFORM)
    )
    moves = union_all(released, spent).subquery("moves")
    held, paid = func.sum(moves.c.held), func.sum(moves.c.spent)
    totals: Select[object] = (
        select(moves.c.payer, moves.c.period, held.label("held_usd"), paid.label("spent_usd"))
        .group_by(moves.c.payer, moves.c.period)
        .having(or_(held != 0, paid != 0))
        .order_by(moves.c.payer.desc(), moves.c.period)
    )
    return settle(totals.cte("totals"))


def _publish() -> Statement:
    fence = _lock()
    lost = _lost(fence)
    published = _finish(fence, lost)
    recorded, entries = _post(fence, published)
    posts = select(literal("post"), account(entries), entries.c.cost_usd, *(entries.c[name] for name in LEDGER_COLUMNS))
    ledger = insert(usage_ledger).from_select(["kind", "account", "amount_usd", *LEDGER_COLUMNS], posts)
    reply_rows = rows("t_replies", [replies.c[name] for name in REPLY_FIELDS])
    stored = insert(replies).from_select(
        ["turn_id", "tenant_id", *REPLY_FIELDS],
        select(published.c.id, published.c.tenant_id, *(reply_rows.c[name] for name in REPLY_FIELDS)),
    )
    summary_rows = rows("t_summaries", [summaries.c[name] for name in SUMMARY_FIELDS])
    summarised = insert(summaries).from_select(
        ["turn_id", "tenant_id", "session_id", *SUMMARY_FIELDS],
        select(
            published.c.id,
            published.c.tenant_id,
            published.c.session_id,
            *(summary_rows.c[name] for name in SUMMARY_FIELDS),
        ).where(~exists(select(fence).where(fence.c.deleted))),
    )
    audited = insert(audit_events).from_select(
        ["turn_id", "tenant_id", "session_id", "user_id", "event", "detail"],
        select(
            published.c.id,
            published.c.tenant_id,
            published.c.session_id,
            published.c.user_id,
            literal("turn_published"),
            typed("t_audit", audit_events.c.detail),
        ),
    )
    return Statement(
        select(
            count(published).label("published"),
            count(recorded).label("recorded"),
            select(fence.c.cancelled).scalar_subquery().label("cancelled"),
            select(fence.c.deleted).scalar_subquery().label("deleted"),
            count(lost).label("lost"),
        ).add_cte(
            ledger.cte("ledger"),
            stored.cte("stored"),
            summarised.cte("summarised"),
            audited.cte("audited"),
            *_settle(entries),
        )
    )


PUBLISH = _publish()
