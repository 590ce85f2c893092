"""Statements about the conversations of chat programs: find one again, make one, and find what a model name means."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from shared.db.engine import Database, Row
from shared.db.statement import load
from shared.domain.actor import Actor
from shared.domain.chat import Line
from shared.domain.turn import CALL

_FIND = load("find_chat")
_MAKE = load("make_chat")
_INSTRUCT = load("instruct_chat")
_FORGET = load("forget_chat")
_MODEL = load("find_model")
_MODELS = load("list_models")
_ASKED = load("find_asked_session")


@dataclass(frozen=True, slots=True)
class Model:
    """A session's fields for what a chat program calls a model. `key` is the model's name there."""

    key: str
    mode: str
    agent_keys: tuple[str, ...]
    fan_out: str = "sequential"
    chair_key: str | None = None


@dataclass(frozen=True, slots=True)
class NewChat:
    """A session to make. `replaced_id` is the session that `name` meant before, `imported` the past that the chat
    program brought along, and `instructions` its system messages."""

    session_id: UUID
    model: Model
    origin: Literal["chat", "call"] = "chat"
    title: str = ""
    name: str | None = None
    replaced_id: UUID | None = None
    imported: Sequence[Line] = ()
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class KnownTurn:
    """A turn that was made before for this key or this request. `retry_after_s` is None once it has ended."""

    turn_id: UUID
    request_hash: bytes | None
    is_running: bool
    is_call: bool
    is_deleted: bool
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Sought:
    """What a conversation is found by: its `name` if it has one, otherwise its `past`, the hash of the sent messages
    before the last. A past of None stands for no messages. `instructions` are its system messages."""

    request_hash: bytes
    model: str
    name: str | None = None
    past: bytes | None = None
    instructions: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored of a conversation. `model` is what its model's name means now. `keyed` is the turn that used the
    key, `retried` the newest turn of the same request, and `named_id` the session that the name meant, dead or alive.
    `session_id` is the session to continue, `past` its hash, and `differs` says whether its instructions do."""

    model: Model | None
    keyed: KnownTurn | None = None
    retried: KnownTurn | None = None
    named_id: UUID | None = None
    session_id: UUID | None = None
    past: bytes | None = None
    differs: bool = False


def load_model(db: Database, tenant_id: str, key: str) -> Model | None:
    """The agent or the council with this key. None if there is none, or if the agent is disabled."""
    return _model(key, db.read(tenant_id, _MODEL, {"b_key": key}))


def load_models(db: Database, tenant_id: str) -> list[Row]:
    """Kind, key, name, mode and time of creation of each enabled agent and each council, by key. An agent has no
    mode."""
    return db.read(tenant_id, _MODELS, {})


def find_asked(db: Database, actor: Actor, session_id: UUID, key: str) -> tuple[Model | None, Model | None]:
    """Find what `key` means, and the session as the model that it is, in one round trip. The session's key is empty
    unless the session is a chat program's. A session that the actor does not see is None."""
    params = {"b_session_id": session_id, **actor.params}
    models, sessions = db.read_all(actor.tenant_id, (_MODEL, {"b_key": key}), (_ASKED, params))
    asked = [
        Model(row["model"] or "", row["mode"], tuple(row["agent_keys"]), row["fan_out"], row["chair_key"])
        for row in sessions
    ]
    return _model(key, models), asked[0] if asked else None


def find_chat(db: Database, tenant_id: str, user_id: str, sought: Sought) -> Found:
    """Find a conversation, and what its model's name means, in one round trip."""
    params = {
        "b_user_id": user_id,
        "b_request_hash": sought.request_hash,
        "b_name": sought.name,
        "b_past": sought.past if sought.name is None else None,
        "b_instructions": sought.instructions,
        "b_idempotency_key": sought.idempotency_key,
    }
    models, (row,) = db.read_all(tenant_id, (_MODEL, {"b_key": sought.model}), (_FIND, params))
    model, keyed, retried = _model(sought.model, models), _known(row, "keyed"), _known(row, "retried")
    if sought.name is None:
        return Found(model, keyed, retried, None, row.get("past_id"), sought.past, row.get("past_differs", False))
    named_id, past = row.get("named_id"), row.get("named_past")
    if row.get("named_model") != sought.model or sought.past not in (None, past):
        return Found(model, keyed, retried, named_id)
    return Found(model, keyed, retried, named_id, named_id, past, row["named_differs"])


def _model(key: str, rows: Sequence[Row]) -> Model | None:
    if not rows:
        return None
    row = rows[0]
    if row["kind"] == "agent":
        return Model(key, "manual", (key,))
    return Model(key, row["mode"], tuple(row["agent_keys"]), row["fan_out"], row["chair_key"])


def _known(row: Row, kind: str) -> KnownTurn | None:
    if f"{kind}_id" not in row:
        return None
    return KnownTurn(
        turn_id=row[f"{kind}_id"],
        request_hash=row[f"{kind}_hash"],
        is_running=row[f"{kind}_status"] in ("accepted", "running"),
        is_call=row[f"{kind}_mode"] == CALL,
        is_deleted=row[f"{kind}_deleted"],
        retry_after_s=row[f"{kind}_retry_after_s"],
    )


def make_chat(db: Database, tenant_id: str, user_id: str, chat: NewChat) -> bool:
    """Make the session of a conversation. False if its name means another session by now than `replaced_id`."""
    params: dict[str, Any] = {
        "b_id": chat.session_id,
        "b_tenant_id": tenant_id,
        "b_user_id": user_id,
        "b_title": chat.title,
        "b_name": chat.name,
        "b_replaced_id": chat.replaced_id,
        "b_mode": chat.model.mode,
        "b_fan_out": chat.model.fan_out,
        "b_agent_keys": list(chat.model.agent_keys),
        "b_chair_key": chat.model.chair_key,
        "b_origin": chat.origin,
        "b_model": chat.model.key,
        "b_imported": json.dumps([line._asdict() for line in chat.imported]) if chat.imported else None,
        "b_instructions": chat.instructions,
    }
    return "made" in db.run(tenant_id, _MAKE, params)[0]


def record_instructions(db: Database, tenant_id: str, session_id: UUID, instructions: str | None) -> None:
    """Keep the newest system messages of a session."""
    db.run(tenant_id, _INSTRUCT, {"b_id": session_id, "b_instructions": instructions})


def forget_chat(db: Database, tenant_id: str, user_id: str, chat: NewChat) -> None:
    """Remove a session whose first turn was refused. Its name means again what it meant before."""
    params = {
        "b_id": chat.session_id,
        "b_user_id": user_id,
        "b_name": chat.name,
        "b_replaced_id": chat.replaced_id,
    }
    db.run(tenant_id, _FORGET, params)
