"""Statements about the conversations of chat programs: find one again, make one, and find what a model name means."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from shared.db.engine import Database, Row
from shared.db.statement import load
from shared.domain.chat import Line

_FIND = load("find_chat")
_MAKE = load("make_chat")
_INSTRUCT = load("instruct_chat")
_FORGET = load("forget_chat")
_MODEL = load("find_model")


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
class Found:
    """What is stored of a conversation. `retried` is the newest turn of the same request, `named_id` the session that
    its name meant, dead or alive, and `session_id` the session to continue."""

    retried: Row | None
    named_id: UUID | None
    session_id: UUID | None


def load_model(db: Database, tenant_id: str, key: str) -> Model | None:
    """The agent or the council with this key. None if there is none, or if the agent is disabled."""
    rows = db.read(tenant_id, _MODEL, {"b_key": key})
    if not rows:
        return None
    (row,) = rows
    if row["kind"] == "agent":
        return Model(key, "manual", (key,))
    return Model(key, row["mode"], tuple(row["agent_keys"]), row["fan_out"], row["chair_key"])


def find_chat(
    db: Database, tenant_id: str, user_id: str, request_hash: bytes, name: str | None, model: str, past: bytes | None
) -> Found:
    """Find the conversation: by `name` if it has one, otherwise by its `past`. None stands for no past."""
    params = {
        "b_user_id": user_id,
        "b_request_hash": request_hash,
        "b_name": name,
        "b_past": past if name is None else None,
    }
    row = db.read(tenant_id, _FIND, params)[0]
    retried = row if "turn_id" in row else None
    named_id, session_id = row.get("named_id"), row.get("past_id")
    if name is not None:
        same = row.get("named_model") == model and past in (None, row.get("named_past"))
        session_id = named_id if same else None
    return Found(retried, named_id, session_id)


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


def forget_chat(db: Database, tenant_id: str, session_id: UUID) -> None:
    """Remove a session whose first turn was refused."""
    db.run(tenant_id, _FORGET, {"b_id": session_id})
