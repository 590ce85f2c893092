"""Claim a turn without a live runner, and load it to be run on or given up.

Every turn ends, even if it cannot be loaded or published with its answers. Each claim's commit counts whether calls
have finished since the claim before, and the turn is loaded after that. After three claims without a new outcome the
turn is given up with its answers. If that fails too, it is given up without loading its text, rates or errors.
"""

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg

from shared.catalog import Rates
from shared.db.engine import Database, Row
from shared.db.protocol import (
    CLAIM,
    FRUITLESS_CLAIMS,
    GIVE_UP,
    HISTORY_TURNS,
    LOAD_CALLS,
    LOAD_GIVEN_UP,
    LOAD_RESUMED_TURN,
)
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation
from shared.domain.money import ZERO, rates_as_dict
from shared.domain.turn import CALL, Plan
from shared.errors import DatabaseUnavailable, JournalUnavailable
from shared.turns.chat_request import CALL_PREFIX, called, options_of
from shared.turns.draft import Header, conversation_of
from shared.turns.journal import TurnJournal

_NOTHING: Row = {"history": None, "summary": None, "session": None}
_HEADER = ("id", "tenant_id", "session_id", "turn_index", "mode", "message", "past_before")
# Default values for the columns that `give_up.sql` does not return.
_UNSAID: Row = {
    "verdict": None,
    "output": None,
    "stop_reason": None,
    "error_code": None,
    "retry_after_s": None,
    "age_s": 0.0,
    "request_hash": "",
    "rates": rates_as_dict(Rates(ZERO, ZERO, ZERO, ZERO, ZERO)),
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """A turn of this process's, as its journal has it. `given_up`: it is only to be ended."""

    header: Header
    journal: TurnJournal
    conversation: Conversation
    plan: Plan | None
    given_up: bool


def claim(db: Database, tenant_id: str, turn_id: UUID, *, of_graphs: bool | None = None) -> Claimed | None:
    """Claim a turn that nobody runs, and load it. None where somebody runs it, it has ended, or its mode is not one
    `of_graphs` (None: any). Raises JournalUnavailable where it could not be claimed, and anything where it could not be
    loaded."""
    turn = _claim(db, tenant_id, turn_id, of_graphs)
    if turn is None:
        return None
    load = _load_bare if turn["expired_claims"] > FRUITLESS_CLAIMS else _load
    return load(db, turn)


def load_given_up(db: Database, tenant_id: str, turn_id: UUID) -> bool:
    """Whether the turn has ended because it was given up."""
    params = {"t_id": turn_id, "t_fruitless_claims": FRUITLESS_CLAIMS}
    return bool(db.read(tenant_id, LOAD_GIVEN_UP, params))


def _claim(db: Database, tenant_id: str, turn_id: UUID, of_graphs: bool | None) -> Row | None:
    try:
        row = db.run(tenant_id, CLAIM, {"t_id": turn_id, "t_of_graphs": of_graphs})[0]
    except (psycopg.Error, DatabaseUnavailable) as error:
        raise JournalUnavailable from error
    return row if "lease_epoch" in row else None


def _load(db: Database, turn: Row) -> Claimed:
    params = {
        "b_session_id": turn["session_id"],
        "b_history_turns": HISTORY_TURNS,
        "b_turn_index": turn["turn_index"],
        "b_roster": json.dumps(turn["roster"]),
    }
    loaded, calls = db.read_all(turn["tenant_id"], (LOAD_RESUMED_TURN, params), (LOAD_CALLS, {"b_id": turn["id"]}))
    if turn["mode"] == CALL:
        roster = called(turn["roster"][0]["key"].removeprefix(CALL_PREFIX))
    else:
        by_key = {agent["key"]: Agent(**agent) for agent in loaded[0]["agents"]}
        roster = {pinned["key"]: by_key[pinned["key"]] for pinned in turn["roster"]}
    plan = Plan.from_dict(turn["plan"]) if turn["plan"] else None
    return _claimed(db, turn, calls, loaded[0], roster, plan)


def _load_bare(db: Database, turn: Row) -> Claimed:
    """The turn without history, agents or answers: its calls are counted, and nobody pays for them but the platform.
    Every reply that was planned will be one that was not given."""
    calls = db.run(turn["tenant_id"], GIVE_UP, {"t_id": turn["id"], "t_epoch": turn["lease_epoch"]})
    plan = _plan(turn["plan"]) if turn["plan"] else None
    versions = {pinned.get("key"): pinned.get("version", 0) for pinned in turn["roster"]}
    roster = {key: _nobody(key, versions.get(key, 0)) for key in (plan.selected_agent_keys if plan else ())}
    return _claimed(db, turn, [call | _UNSAID for call in calls], _NOTHING, roster, plan)


def _plan(stored: dict[str, Any]) -> Plan:
    """A plan as far as it can be read, whatever release has written it."""
    keys, unknown = stored.get("selected_agent_keys") or (), stored.get("unknown_tags") or ()
    return Plan(tuple(keys), stored.get("source", "default"), tuple(unknown))


def _nobody(key: str, version: int) -> Agent:
    """Stands for an agent that nobody will ask."""
    return Agent(
        key, version, key, role_prompt="", model_alias="", max_output_tokens=0, temperature=None, enabled=False
    )


def _claimed(
    db: Database, turn: Row, calls: list[Row], loaded: Row, roster: dict[str, Agent], plan: Plan | None
) -> Claimed:
    requested = tuple(turn["requested_agent_keys"]) if turn["requested_agent_keys"] else None
    return Claimed(
        header=Header(*(turn[name] for name in _HEADER)),
        journal=TurnJournal.resumed(db, turn, calls),
        conversation=replace(
            conversation_of(loaded, roster, turn["message"], requested, turn["fan_out"], turn["chair_key"]),
            options=options_of(turn["options"]),
        ),
        plan=plan,
        given_up=turn["expired_claims"] >= FRUITLESS_CLAIMS,
    )
