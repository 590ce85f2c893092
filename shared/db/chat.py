"""Find the conversations of chat programs again, and find what a model name means."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from shared.db.engine import Database, Params, Row
from shared.db.statement import load
from shared.domain.actor import Actor
from shared.domain.chat import Line
from shared.domain.turn import CALL

_FIND = load("find_chat")
_MODEL = load("find_model")
_MODELS = load("list_models")
_ASKED = load("find_asked_session")
_USED = load("find_used_key")


@dataclass(frozen=True, slots=True)
class Model:
    """The fields of a session that a chat program selects by a model name. `key` is that name."""

    key: str
    mode: str
    agent_keys: tuple[str, ...]
    fan_out: str = "sequential"
    chair_key: str | None = None


@dataclass(frozen=True, slots=True)
class NewChat:
    """A session that is made when its first turn is accepted. `replaced_id` is the session that `name` meant before;
    `imported` is the past that the program sent along."""

    model: Model
    origin: Literal["chat", "call"] = "chat"
    title: str = ""
    name: str | None = None
    replaced_id: UUID | None = None
    imported: Sequence[Line] = ()

    @property
    def lines(self) -> list[dict[str, str]]:
        """The past as `sessions.imported` stores it."""
        return [line._asdict() for line in self.imported]

    def as_loaded(self) -> str:
        """Return the session's fields as loading a turn returns them, without the past."""
        model = self.model
        fields = {"mode": model.mode, "fan_out": model.fan_out, "agent_keys": model.agent_keys}
        return json.dumps({**fields, "chair_key": model.chair_key, "model": model.key})


def made_params(made: NewChat | None) -> Params:
    """Return the parameters that make a session when its turn is accepted. Without a new session, these parts are left
    out."""
    if made is None:
        return {"m_name": None, "m_origin": None}
    return {
        "m_name": made.name,
        "m_replaced_id": made.replaced_id,
        "m_title": made.title,
        "m_mode": made.model.mode,
        "m_fan_out": made.model.fan_out,
        "m_agent_keys": list(made.model.agent_keys),
        "m_chair_key": made.model.chair_key,
        "m_origin": made.origin,
        "m_model": made.model.key,
    }


@dataclass(frozen=True, slots=True)
class KnownTurn:
    """An earlier turn of this key or this request. `retry_after_s` is None once it has ended."""

    turn_id: UUID
    request_hash: bytes | None
    is_running: bool
    is_call: bool
    is_deleted: bool
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Sought:
    """How to find a conversation: by its `name`, else by `past`, the hash of the messages before the last. None means
    no such messages."""

    request_hash: bytes
    model: str
    name: str | None = None
    past: bytes | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The stored facts of a conversation.

    `model` is the current meaning of its model's name. `keyed` is the turn that used the key, `retried` the newest turn
    of the same request. `named_id` is the session of the name, deleted or not. `session_id` is the session to continue,
    and `past` its hash."""

    model: Model | None
    keyed: KnownTurn | None = None
    retried: KnownTurn | None = None
    named_id: UUID | None = None
    session_id: UUID | None = None
    past: bytes | None = None


class Asked(NamedTuple):
    """A question in a session. `session` is the session in the form of a model. Its key is empty unless a chat program
    made the session. `fingerprint` is that of the turn that used the idempotency key."""

    model: Model | None
    session: Model | None
    fingerprint: str | None


def load_model(db: Database, tenant_id: str, key: str) -> Model | None:
    """Return the agent or council with this key. None if there is none, or if the agent is disabled."""
    return _model(key, db.read(tenant_id, _MODEL, {"b_key": key}))


def load_models(db: Database, tenant_id: str) -> list[Row]:
    """Return kind, key, name, mode and creation time of each enabled agent and each council, by key. An agent has no
    mode."""
    return db.read(tenant_id, _MODELS, {})


def find_asked(db: Database, actor: Actor, session_id: UUID, key: str, idempotency_key: str) -> Asked:
    """Find the meaning of `key`, the session, and the earlier use of the idempotency key, in one round trip. A session
    that the actor cannot see is None."""
    params = {"b_session_id": session_id, "b_idempotency_key": idempotency_key, **actor.params}
    models, sessions, used = db.read_all(actor.tenant_id, (_MODEL, {"b_key": key}), (_ASKED, params), (_USED, params))
    asked = [
        Model(row["model"] or "", row["mode"], tuple(row["agent_keys"]), row["fan_out"], row["chair_key"])
        for row in sessions
    ]
    return Asked(_model(key, models), asked[0] if asked else None, used[0]["fingerprint"] if used else None)


def find_chat(db: Database, tenant_id: str, user_id: str, sought: Sought) -> Found:
    """Find a conversation and the meaning of its model's name, in one round trip."""
    params = {
        "b_user_id": user_id,
        "b_request_hash": sought.request_hash,
        "b_name": sought.name,
        "b_past": sought.past if sought.name is None else None,
        "b_idempotency_key": sought.idempotency_key,
    }
    models, (row,) = db.read_all(tenant_id, (_MODEL, {"b_key": sought.model}), (_FIND, params))
    model, keyed, retried = _model(sought.model, models), _known(row, "keyed"), _known(row, "retried")
    if sought.name is None:
        return Found(model, keyed, retried, None, row.get("past_id"), sought.past)
    named_id, past = row.get("named_id"), row.get("named_past")
    if row.get("named_model") != sought.model or sought.past not in (None, past):
        return Found(model, keyed, retried, named_id)
    return Found(model, keyed, retried, named_id, named_id, past)


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
