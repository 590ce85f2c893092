"""Read summaries, and the archive of their items."""

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Label, and_, bindparam, cast, func, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.api.pages import Order, Page, PageRequest, as_index, page
from shared.db.api.visibility import FIND_SESSION, about, check_seen
from shared.db.compiler import compiled
from shared.db.engine import Database, Statement
from shared.db.schema.tables import sessions, summaries
from shared.domain.actor import Actor

SUMMARY_COLUMNS = (
    "id",
    "session_id",
    "through_turn_index",
    "text",
    "key_facts",
    "decisions",
    "open_questions",
    "action_items",
    "items",
    "fallbacks",
    "created_at",
)
_id = bindparam("b_id", type_=sessions.c.id.type)


def last_numbers() -> Label[Any]:
    """The highest numbers of a summary's ids. A summary of the release before has none: its ids go on from an older
    summary that has some. Only then are older summaries read."""
    older = summaries.alias("older")
    known = (
        select(older.c.last_numbers)
        .where(older.c.session_id == summaries.c.session_id, older.c.last_numbers.is_not(None))
        .where(older.c.through_turn_index < summaries.c.through_turn_index)
        .order_by(older.c.through_turn_index.desc())
        .limit(1)
        .correlate(summaries)
        .scalar_subquery()
    )
    return func.coalesce(summaries.c.last_numbers, known).label("last_numbers")


def _list(order: Order) -> Statement:
    index = summaries.c.through_turn_index
    after = bindparam("b_after", type_=index.type)
    beyond, by = (index < after, index.desc()) if order == "desc" else (index > after, index.asc())
    listed = select(*(summaries.c[name] for name in SUMMARY_COLUMNS), last_numbers())
    listed = listed.where(summaries.c.session_id == _id, or_(after.is_(None), beyond))
    return compiled(listed.order_by(by).limit(bindparam("b_limit")))


def _archive(order: Order) -> Statement:
    """Archived items by summary, and by their position in the array of each."""
    index = summaries.c.through_turn_index
    left = func.jsonb_array_elements(summaries.c.archive).table_valued("item", with_ordinality="position")
    left = left.render_derived("left_memory")
    position = cast(left.c.position, Integer)
    after, after_position = bindparam("b_after", type_=Integer), bindparam("b_after_position", type_=Integer)
    here, there = tuple_(index, position), tuple_(after, after_position)
    beyond, near = (here < there, index <= after) if order == "desc" else (here > there, index >= after)
    by = (index.desc(), position.desc()) if order == "desc" else (index, position)
    listed = select(cast(left.c.item, JSONB).label("item"), index, position.label("position"), summaries.c.created_at)
    listed = listed.select_from(summaries.join(left, true()))
    listed = listed.where(summaries.c.session_id == _id, or_(after.is_(None), and_(near, beyond)))
    return compiled(listed.order_by(*by).limit(bindparam("b_limit")))


_LIST = {"desc": _list("desc"), "asc": _list("asc")}
_ARCHIVE = {"desc": _archive("desc"), "asc": _archive("asc")}


def load_summaries(db: Database, actor: Actor, session_id: UUID, request: PageRequest) -> Page:
    """A session's summaries by the turn that they go through. Raises NotFound, InvalidRequest for a bad cursor."""
    params = {"b_id": session_id, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    found, rows = db.read_all(actor.tenant_id, (FIND_SESSION, about(actor, session_id)), (_LIST[request.order], params))
    check_seen(found)
    return page(rows, request, lambda row: row["through_turn_index"])


def load_archive(db: Database, actor: Actor, session_id: UUID, request: PageRequest) -> Page:
    """A session's archived items, as `item`, by the summary with which they left memory. Raises NotFound,
    InvalidRequest for a bad cursor."""
    after, position = request.after(_as_place) or (None, None)
    params = {"b_id": session_id, "b_after": after, "b_after_position": position, "b_limit": request.limit + 1}
    found, rows = db.read_all(
        actor.tenant_id, (FIND_SESSION, about(actor, session_id)), (_ARCHIVE[request.order], params)
    )
    check_seen(found)
    return page(rows, request, lambda row: [row["through_turn_index"], row["position"]])


def _as_place(key: Any) -> tuple[int, int]:
    """A summary's turn index and a position in its archive, as a cursor holds them."""
    index, position = key
    return as_index(index), as_index(position)
