"""Reading turns: an ended one as its stored response, an active one as the journal has it at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, case, func, or_, select, update

from shared.db.columns import COUNTS
from shared.db.context import active
from shared.db.engine import Database, Row, Statement
from shared.db.journal import account
from shared.db.pages import Order, PageRequest, as_index, encode_cursor
from shared.db.tables import agent_versions, llm_calls, sessions, turns
from shared.domain.money import ZERO, Usage
from shared.domain.problem import problem
from shared.domain.turn import Charge, Plan, Reply, Turn, TurnStatus
from shared.errors import NotFound, TurnEnded

# A page of turns ends here, whatever its limit: a function's response has a cap of its own.
PAGE_BYTES = 4 * 1024 * 1024

_NAMES = ("id", "session_id", "turn_index", "status", "mode", "message", "plan", "created_at")
_columns = [turns.c[name] for name in _NAMES]
_id = bindparam("b_id", type_=turns.c.id.type)
_this = (turns.c.id == _id, turns.c.deleted_at.is_(None))
_LOAD = Statement(select(*_columns, turns.c.response).where(*_this))
# All that is needed of a turn that has its response.
_ENDED = Statement(select(turns.c.id, turns.c.status, turns.c.response).where(*_this))
LOAD_CALLS = Statement(
    select(llm_calls).where(llm_calls.c.turn_id == _id).order_by(llm_calls.c.step, llm_calls.c.attempt)
)
_SESSION = Statement(select(sessions.c.id).where(sessions.c.id == _id, sessions.c.deleted_at.is_(None)))


def _unposted(of_turn: ColumnElement[bool]) -> Statement:
    """The calls of a turn that has not ended, each with its agent's name and who would pay for it now."""
    pinned = (
        (agent_versions.c.tenant_id == llm_calls.c.tenant_id)
        & (agent_versions.c.key == llm_calls.c.agent_key)
        & (agent_versions.c.version == llm_calls.c.agent_version)
    )
    return Statement(
        select(llm_calls, agent_versions.c.name, account(llm_calls).label("account"))
        .select_from(llm_calls.outerjoin(agent_versions, pinned))
        .where(of_turn, llm_calls.c.posted_at.is_(None))
        .order_by(llm_calls.c.step, llm_calls.c.attempt)
    )


def _list(order: Order) -> Statement:
    after = bindparam("b_after", type_=turns.c.turn_index.type)
    beyond = turns.c.turn_index < after if order == "desc" else turns.c.turn_index > after
    by = turns.c.turn_index.desc() if order == "desc" else turns.c.turn_index.asc()
    size = func.octet_length(func.coalesce(turns.c.response, ""))
    rows = (
        select(*_columns, turns.c.response, func.sum(size).over(order_by=by).label("bytes"))
        .add_columns(func.row_number().over(order_by=by).label("number"))
        .where(turns.c.session_id == _id, or_(after.is_(None), beyond))
        .order_by(by)
        .limit(bindparam("b_limit"))
        .subquery("rows")
    )
    fits = or_(rows.c.bytes <= PAGE_BYTES, rows.c.number == 1)
    kept = case((fits, rows.c.response)).label("response")
    return Statement(select(*(rows.c[name] for name in _NAMES), kept, fits.label("fits")).order_by(rows.c.number))


_CANCEL = Statement(
    update(turns)
    .where(*_this, active)
    .values(cancel_requested_at=func.coalesce(turns.c.cancel_requested_at, func.clock_timestamp()))
    .returning(turns.c.id)
)
_CALLS = _unposted(llm_calls.c.turn_id == _id)
_LIST = {"desc": _list("desc"), "asc": _list("asc")}


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as its client sees it now: `body` is JSON. `steps_finished` counts those of a turn that has not ended."""

    id: UUID
    status: TurnStatus
    body: str
    steps_finished: int

    @property
    def ended(self) -> bool:
        return self.status not in ("accepted", "running")


def load_turn(db: Database, tenant_id: str, turn_id: UUID) -> StoredTurn:
    """Raises NotFound."""
    calls, rows = list[Row](), db.read(tenant_id, _ENDED, {"b_id": turn_id})
    if rows and rows[0]["response"] is None:
        # The turn after its calls: one that ends in between is read as it ended, and not without what it had.
        calls, rows = db.read_all(tenant_id, (_CALLS, {"b_id": turn_id}), (_LOAD, {"b_id": turn_id}))
    if not rows:
        raise NotFound("There is no such turn.")
    return _stored(rows[0], calls)


def load_turns(db: Database, tenant_id: str, session_id: UUID, request: PageRequest) -> tuple[list[str], str | None]:
    """A session's turns as JSON, by index, and the next cursor. Raises NotFound, InvalidRequest for a bad cursor."""
    params = {"b_id": session_id, "b_after": request.after(as_index), "b_limit": request.limit + 1}
    found, rows = db.read_all(tenant_id, (_SESSION, {"b_id": session_id}), (_LIST[request.order], params))
    if not found:
        raise NotFound("There is no such session.")
    shown = [row for row in rows[: request.limit] if row["fits"]]
    bodies = [row["response"] or load_turn(db, tenant_id, row["id"]).body for row in shown]
    return bodies, encode_cursor(shown[-1]["turn_index"]) if len(shown) < len(rows) else None


def record_cancel(db: Database, tenant_id: str, turn_id: UUID) -> StoredTurn:
    """Ask whoever runs the turn, or claims it next, to end it before its next call. Raises NotFound, TurnEnded."""
    marked = db.run(tenant_id, _CANCEL, {"b_id": turn_id})
    turn = load_turn(db, tenant_id, turn_id)
    if not marked:
        raise TurnEnded
    return turn


def _stored(row: Row, calls: Sequence[Row]) -> StoredTurn:
    if row["response"] is not None:
        return StoredTurn(row["id"], row["status"], row["response"], 0)
    plan = Plan.from_dict(row["plan"]) if row["plan"] else None
    turn = Turn(
        **{name: row[name] for name in _NAMES if name != "plan"},
        plan=plan,
        replies=_finished(plan, calls) if plan else (),
        charges=[Charge(call["account"], _usage(call), call["cost_usd"]) for call in calls if call["finished_at"]],
        steps_finished=sum(call["verdict"] is not None for call in calls),
    )
    return StoredTurn(turn.id, turn.status, turn.as_json(), turn.steps_finished)


def _finished(plan: Plan, calls: Sequence[Row]) -> list[Reply]:
    """The replies that have their verdict, provisional until the turn ends."""
    agents = [call for call in calls if call["purpose"] == "agent" and call["verdict"] is not None]
    return [_reply(call, call["step"] - plan.first_step) for call in agents]


def _reply(call: Row, position: int) -> Reply:
    answered = call["verdict"] == "reply"
    return Reply(
        position=position,
        agent_key=call["agent_key"],
        agent_version=call["agent_version"],
        name=call["name"],
        status="completed" if answered else "failed",
        text=call["output"] if answered else None,
        stop_reason=call["stop_reason"] if answered else None,
        error=None if answered else problem(call["error_code"]),
        model_alias=call["model_alias"] if answered else None,
        usage=_usage(call) if answered else Usage(),
        cost_usd=call["cost_usd"] if answered else ZERO,
    )


def _usage(call: Row) -> Usage:
    return Usage(**{name: call[name] for name in COUNTS})
