"""A session as a whole, oldest turn first, page by page: what has ended, as it was answered.

Turns are only ever added behind the last one, and the one that is active is the last: a cursor is the index of a turn,
and stays good. The active turn is named and left out, so that no page ever holds half an answer. A summary goes with
the turn that wrote it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Text, bindparam, case, cast, func, literal, or_, select

from shared.db.api.history import PAGE_BYTES
from shared.db.api.pages import PageRequest, as_index, encode_cursor
from shared.db.api.sessions import LOAD_SESSION
from shared.db.api.summaries import SUMMARY_COLUMNS, last_numbers
from shared.db.api.visibility import about, check_seen
from shared.db.compiler import compiled
from shared.db.engine import Database, Row, Statement
from shared.db.schema.tables import agent_versions, agents, sessions, summaries, turns
from shared.domain.actor import Actor
from shared.domain.summary import LISTS

PAGE_TURNS = 100
# Beside turns and summaries a page holds the session, its roster, and the names of fields.
_ROOM = PAGE_BYTES - 64 * 1024
# A summary of the release before is exported with ids, which are not stored: at most 4 lists of 40 items.
_IDS_BYTES = 16 * 1024
_SUMMARY = (*SUMMARY_COLUMNS, "last_numbers")

_id = bindparam("b_id", type_=sessions.c.id.type)


def _page() -> Statement:
    after = bindparam("b_after", type_=turns.c.turn_index.type)
    texts = [turns.c.response, *(cast(summaries.c[name], Text) for name in SUMMARY_COLUMNS)]
    lists = sum((func.octet_length(cast(summaries.c[name], Text)) for name in LISTS), start=literal(_IDS_BYTES))
    sizes = [*map(func.octet_length, texts), case((summaries.c["items"].is_(None), lists))]
    size = sum((func.coalesce(size, 0) for size in sizes), start=literal(0))
    by = turns.c.turn_index
    rows = (
        select(turns.c.id.label("turn_id"), turns.c.turn_index, turns.c.response)
        .add_columns(*(summaries.c[name] for name in SUMMARY_COLUMNS))
        .add_columns(last_numbers())
        .add_columns(func.sum(size).over(order_by=by).label("bytes"))
        .add_columns(func.row_number().over(order_by=by).label("number"))
        .select_from(turns.outerjoin(summaries, summaries.c.turn_id == turns.c.id))
        .where(turns.c.session_id == _id, turns.c.deleted_at.is_(None), or_(after.is_(None), by > after))
        .order_by(by)
        .limit(bindparam("b_limit"))
        .subquery("rows")
    )
    fits = or_(rows.c.bytes <= _ROOM, rows.c.number == 1)
    kept = [case((fits, rows.c[name])).label(name) for name in ("response", *_SUMMARY)]
    return compiled(select(rows.c.turn_id, rows.c.turn_index, *kept, fits.label("fits")).order_by(rows.c.number))


def _roster() -> Statement:
    """The names of the session's agents as they are called now, those of deleted ones too."""
    keys = select(func.unnest(sessions.c.agent_keys)).where(sessions.c.id == _id)
    current = (
        (agent_versions.c.tenant_id == agents.c.tenant_id)
        & (agent_versions.c.key == agents.c.key)
        & (agent_versions.c.version == agents.c.version)
    )
    named = select(agent_versions.c.key, agent_versions.c.name).select_from(agents.join(agent_versions, current))
    return compiled(named.where(agents.c.key.in_(keys)))


_PAGE = _page()
_ROSTER = _roster()


@dataclass(frozen=True, slots=True)
class ExportPage:
    """`turns` are the stored responses, in JSON, by index; `summaries` the rows that they wrote, by their index.
    `after` is the turn that the page before ended with. `active_turn_id` is a turn that has not ended, where the page
    reaches it."""

    session: Row
    names: Mapping[str, str]
    turns: Mapping[int, str]
    summaries: Mapping[int, Row]
    after: int | None
    active_turn_id: UUID | None
    next_cursor: str | None


def load_export(db: Database, actor: Actor, session_id: UUID, cursor: str | None) -> ExportPage:
    """A page of at most 100 turns and 4 MB. Raises NotFound, InvalidRequest for a bad cursor."""
    after = PageRequest(PAGE_TURNS, cursor, "asc").after(as_index)
    session, named, rows = db.read_all(
        actor.tenant_id,
        (LOAD_SESSION, about(actor, session_id)),
        (_ROSTER, {"b_id": session_id}),
        (_PAGE, {"b_id": session_id, "b_after": after, "b_limit": PAGE_TURNS + 1}),
    )
    check_seen(session)
    shown = [row for row in rows[:PAGE_TURNS] if row["fits"]]
    ended = [row for row in shown if row["response"] is not None]
    return ExportPage(
        session=session[0],
        names={row["key"]: row["name"] for row in named},
        turns={row["turn_index"]: row["response"] for row in ended},
        summaries={row["turn_index"]: _summary(row) for row in ended if row["id"] is not None},
        after=after,
        active_turn_id=_active(shown),
        next_cursor=encode_cursor(shown[-1]["turn_index"]) if len(shown) < len(rows) else None,
    )


def _summary(row: Row) -> Row:
    return {name: row[name] for name in _SUMMARY}


def _active(shown: Sequence[Row]) -> UUID | None:
    """Only the last turn of a session can be active, and only an active one has no response."""
    return shown[-1]["turn_id"] if shown and shown[-1]["response"] is None else None
