"""What a turn must know before it can ask anybody: one statement, and the same size for every session.

History is the newest ended turns before this one, so that a resumed turn sees what its first attempt saw.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from shared.db.agents import current_agents
from shared.db.columns import Time
from shared.db.engine import Statement
from shared.db.summaries import last_numbers
from shared.db.tables import agent_versions, agents, replies, sessions, summaries, turns

# As many turns as are worth sending to the largest window of the catalog.
HISTORY_TURNS = 50

active = turns.c.status.in_(("accepted", "running"))


def _one(row: FromClause) -> ColumnElement[Any]:
    """The only row of `row` as a JSON object, NULL when there is none."""
    return select(func.row_to_json(literal_column(row.description))).select_from(row).scalar_subquery()


def _all(rows: FromClause, order: ColumnElement[Any] | None = None) -> ColumnElement[Any]:
    """Every row of `rows` as a JSON array, NULL when there is none."""
    row: ColumnElement[Any] = literal_column(rows.description)
    listed = func.json_agg(row if order is None else aggregate_order_by(row, order))
    return select(listed).select_from(rows).scalar_subquery()


def _history(session_id: ColumnElement[Any], before: ColumnElement[Any]) -> ColumnElement[Any]:
    said = (
        select(replies.c.position, replies.c.agent_key, replies.c.name, replies.c.text)
        .where(replies.c.turn_id == turns.c.id, replies.c.status == "completed")
        .correlate(turns)
        .subquery("said")
    )
    newest = (
        select(turns.c.turn_index, turns.c.message, _all(said, said.c.position).label("replies"))
        .where(
            turns.c.session_id == session_id,
            turns.c.turn_index < before,
            # Indexes are dense, so these are all. The planner does not know that, and left to itself sorts the session.
            turns.c.turn_index >= before - HISTORY_TURNS,
            ~active,
        )
        .order_by(turns.c.turn_index.desc())
        .limit(HISTORY_TURNS)
        .subquery("newest")
    )
    return _all(newest, newest.c.turn_index)


def _summary(session_id: ColumnElement[Any], before: ColumnElement[Any]) -> ColumnElement[Any]:
    """The newest summary. It is looked for among all others only where there is none since the history's beginning: the
    planner would sort them all."""
    index = summaries.c.through_turn_index
    since = before - HISTORY_TURNS
    return func.coalesce(
        _one(_newest_summary(session_id, (index < before, index >= since), "latest")),
        _one(_newest_summary(session_id, (index < since,), "older")),
    )


def _newest_summary(session_id: ColumnElement[Any], where: Sequence[ColumnElement[bool]], name: str) -> Subquery:
    columns = ("through_turn_index", "text", "items", "key_facts", "decisions", "open_questions", "action_items")
    newest = select(*(summaries.c[column] for column in columns), last_numbers())
    newest = newest.where(summaries.c.session_id == session_id, *where)
    return newest.order_by(summaries.c.through_turn_index.desc()).limit(1).subquery(name)


def _rate_limited_for() -> ColumnElement[Any]:
    """In how many seconds the tenant may post again: when its `b_turns_per_minute`-th newest turn is a minute old. NULL
    where it may now. No more turns are read than the rate allows, whatever the planner thinks of them."""
    most = bindparam("b_turns_per_minute", type_=Integer)
    minute = func.make_interval(0, 0, 0, 0, 0, 1)
    tenant = bindparam("b_tenant_id", type_=Text)
    freed = func.nth_newest_turn_at(tenant, func.now() - minute, most, type_=Time) + minute
    return case((most > 0, func.extract("epoch", freed - func.now())))


def _for_new_turn() -> Statement:
    """The session, its living agents, its history, a turn that is active in it, and the turn that used the key."""
    session_id = bindparam("b_session_id", type_=sessions.c.id.type)
    names = ("id", "title", "mode", "fan_out", "agent_keys", "next_turn_index")
    session = (
        select(*(sessions.c[name] for name in names))
        .where(sessions.c.id == session_id, sessions.c.deleted_at.is_(None))
        .cte("session")
    )
    roster = current_agents().where(agents.c.key.in_(select(func.unnest(session.c.agent_keys)))).subquery("roster")
    lease_s = func.extract("epoch", turns.c.dispatch_after - func.clock_timestamp())
    running = (
        select(turns.c.id, lease_s.label("retry_after_s"))
        .where(turns.c.session_id == session_id, active)
        .subquery("active")
    )
    used = (
        select(turns.c.id, turns.c.session_id, turns.c.status, turns.c.fingerprint, turns.c.response)
        .add_columns(turns.c.deleted_at.is_not(None).label("deleted"))
        .where(turns.c.idempotency_key == bindparam("b_idempotency_key", type_=Text))
        .subquery("used")
    )
    next_index = select(session.c.next_turn_index).scalar_subquery()
    return Statement(
        select(
            _one(session).label("session"),
            _all(roster).label("agents"),
            _history(session_id, next_index).label("history"),
            _summary(session_id, next_index).label("summary"),
            _one(running).label("active"),
            _one(used).label("used"),
            _rate_limited_for().label("rate_limited_s"),
        )
    )


def _for_resumed_turn() -> Statement:
    """The same for a claimed turn: its agents at the versions that it pinned, and what was before it."""
    session_id = bindparam("b_session_id", type_=sessions.c.id.type)
    before = bindparam("b_turn_index", type_=Integer)
    pinned = (
        func.jsonb_to_recordset(bindparam("b_roster", type_=JSONB))
        .table_valued(column("key", Text), column("version", Integer))
        .render_derived(name="pinned", with_types=True)
    )
    names = (
        "key",
        "version",
        "name",
        "role_prompt",
        "model_alias",
        "max_output_tokens",
        "temperature",
        "enabled",
    )
    roster: Select[Any] = select(*(agent_versions.c[name] for name in names)).join(
        pinned, (agent_versions.c.key == pinned.c.key) & (agent_versions.c.version == pinned.c.version)
    )
    return Statement(
        select(
            _all(roster.subquery("roster")).label("agents"),
            _history(session_id, before).label("history"),
            _summary(session_id, before).label("summary"),
        )
    )


LOAD_FOR_NEW_TURN = _for_new_turn()
LOAD_FOR_RESUMED_TURN = _for_resumed_turn()
