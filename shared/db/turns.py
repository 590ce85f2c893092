"""Read one turn: an ended one as its stored response, an active one as the journal has it at this moment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.db.engine import Database, Row
from shared.db.statement import load
from shared.domain.actor import Actor
from shared.domain.money import COUNTS, ZERO, Usage
from shared.domain.problem import problem
from shared.domain.turn import Charge, Plan, Reply, Turn, TurnStatus, chairs_answer, charged
from shared.domain.turn_snapshot import Started, TurnSnapshot
from shared.errors import NotFound

_NAMES = ("id", "session_id", "turn_index", "status", "mode", "message", "plan", "created_at")
_LOAD = load("load_turn")
_CALLS = load("load_running_calls")
_POSTED_CALLS = load("load_posted_calls")


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


def load_turn(db: Database, actor: Actor, turn_id: UUID) -> StoredTurn:
    """Raises NotFound, also for a turn in a session that the actor does not see."""
    params = {"b_id": turn_id, **actor.params}
    # The calls are read first. Then a turn that ends in between is returned complete.
    calls, turns = db.read_all(actor.tenant_id, (_CALLS, params), (_LOAD, params))
    if not turns:
        raise NotFound("There is no such turn.")
    return _stored(turns[0], calls)


def load_snapshot(db: Database, actor: Actor, turn_id: UUID) -> TurnSnapshot:
    """Load the turn for a client that follows it. Raises what `load_turn` raises."""
    params = {"b_id": turn_id, **actor.params}
    # Posted calls are read last. Then every call of a turn that ends in between is read.
    running, turns, posted = db.read_all(
        actor.tenant_id, (_CALLS, params), (_LOAD, params), (_POSTED_CALLS, {"b_id": turn_id})
    )
    if not turns:
        raise NotFound("There is no such turn.")
    (row,) = turns
    plan = _plan(row)
    if row["response"] is not None:
        replies = {reply["position"]: reply for reply in json.loads(row["response"])["replies"]}
        return TurnSnapshot(row["response"], True, plan, _started(plan, posted), replies)
    turn = _running(row, running)
    replies = {reply.position: reply.as_dict() for reply in turn.replies}
    return TurnSnapshot(turn.as_json(), False, plan, _started(plan, running), replies)


def _stored(row: Row, calls: Sequence[Row]) -> StoredTurn:
    if row["response"] is not None:
        return StoredTurn(row["id"], row["status"], row["response"], 0)
    turn = _running(row, calls)
    return StoredTurn(turn.id, turn.status, turn.as_json(), turn.steps_finished)


def _plan(row: Row) -> Plan | None:
    return Plan.from_dict(row["plan"]) if row["plan"] else None


def _started(plan: Plan | None, calls: Sequence[Row]) -> Mapping[int, Started]:
    """The newest call of each position. `calls` are by step and attempt."""
    if plan is None:
        return {}
    agents = [(call["step"] - plan.first_step, call) for call in calls if call["purpose"] == "agent"]
    return {
        position: Started(position, call["agent_key"], call["name"], call["model_alias"], call["attempt"])
        for position, call in agents
    }


def _running(row: Row, calls: Sequence[Row]) -> Turn:
    plan = _plan(row)
    replies = _finished(plan, calls) if plan else ()
    charges = [Charge(call["account"], _usage(call), call["cost_usd"]) for call in calls if call["finished_at"]]
    return Turn(
        **{name: row[name] for name in _NAMES if name != "plan"},
        plan=plan,
        replies=replies,
        usage=sum((charge.usage for charge in charges), Usage()),
        cost_usd=charged(charges, "tenant"),
        platform_cost_usd=charged(charges, "platform"),
        steps_finished=sum(call["verdict"] is not None for call in calls),
        conclusion=chairs_answer(row["mode"], plan, replies),
    )


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
