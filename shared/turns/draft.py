"""Check a request and load what its turn needs. A refusal here costs nothing.

A turn that is posted again under its key is answered from what is stored. Nothing is written here; the turn is
accepted together with the intent of its first call.
"""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

from shared.catalog import catalog
from shared.db.chat import made_params
from shared.db.engine import Database, Params, Row
from shared.db.protocol import HISTORY_TURNS, LOAD_NEW_TURN
from shared.domain.actor import Actor
from shared.domain.agent import Agent
from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.json_text import json_text
from shared.domain.summary import Summary, stored_items
from shared.domain.turn import CALL, TurnStatus
from shared.errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    NoAgent,
    NotFound,
    RateLimited,
    SessionDeleted,
    TooManyActiveTurns,
    TurnConflict,
    UnknownAgent,
)
from shared.graph_names import check_graph, is_graph
from shared.orchestration.modes import FANNED_OUT, MODES, check_roster
from shared.settings import settings
from shared.turns.chat_request import ChatRequest, called, imported_turns, options_as_json


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A posted turn. `mode` None means the session's mode. With `later`, the worker runs the turn. `api_key_id` is the
    API key of the request, if any. `is_admin` lets the user post in every session of the tenant."""

    tenant_id: str
    user_id: str
    session_id: UUID
    message: str
    mode: str | None = None
    agent_keys: tuple[str, ...] | None = None
    idempotency_key: str | None = None
    later: bool = False
    api_key_id: UUID | None = None
    is_admin: bool = False
    chat: ChatRequest | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.tenant_id, self.user_id, is_admin=self.is_admin)

    def fingerprint(self) -> str:
        """What a key stands for: the same session and the same body."""
        content = [str(self.session_id), self.message, self.mode, self.agent_keys]
        if self.chat is not None:
            content.append(self.chat.request_hash.hex())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """The turn that this request's key has made before. `response` is None until it has ended."""

    turn_id: UUID
    status: TurnStatus
    response: str | None


@dataclass(frozen=True, slots=True)
class Header:
    """What does not change about a turn while it runs."""

    turn_id: UUID
    tenant_id: str
    session_id: UUID
    turn_index: int
    mode: str
    message: str
    # The hash of a chat program's conversation with the message.
    past: bytes | None = None

    @property
    def is_forgotten(self) -> bool:
        """Whether nothing of the turn's text is stored once it has ended."""
        return self.mode == CALL


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn that may be accepted: what its agents will see, and the columns of its row (`t_...`). Accepting the turn
    of a new tenant makes the tenant known."""

    header: Header
    conversation: Conversation
    columns: Params
    is_newcomer: bool = False


def load_draft(db: Database, request: TurnRequest, turn_id: UUID) -> Draft | Stored:
    """Load all that the turn needs, in one statement. Raises NotFound, SessionDeleted, TurnConflict, RateLimited,
    TooManyActiveTurns and what InvalidRequest covers."""
    params = {
        "b_tenant_id": request.tenant_id,
        "b_session_id": request.session_id,
        "b_idempotency_key": request.idempotency_key,
        "b_is_chat": request.chat is not None,
        "b_made": request.chat.made.as_loaded() if request.chat and request.chat.made else None,
        "b_turns_per_minute": settings().turns_per_minute,
        "b_active_turns": settings().tenant_active_turns,
        "b_history_turns": HISTORY_TURNS,
        **request.actor.params,
    }
    loaded = db.read(request.tenant_id, LOAD_NEW_TURN, params)[0]
    session, used = loaded["session"], loaded["used"]
    if used and used["deleted"]:
        raise SessionDeleted
    if session is None:
        raise NotFound("There is no such session.")
    if used:
        return _stored(used, request)
    mode = request.mode or session["mode"]
    check_graph(mode)
    if request.agent_keys is not None and mode != "manual":
        raise InvalidRequest("agent_keys can be given in mode 'manual' only.")
    agents = loaded["agents"] or []
    unpinned = [agent.pop("unpinned") for agent in agents]
    roster = _roster(agents, session["agent_keys"]) if mode != CALL else called(session["model"])
    told = _tell(session, request.chat)
    _check_requested(request, session["agent_keys"], roster)
    conversation = conversation_of(
        loaded, roster, request.message, request.agent_keys, session["fan_out"], session["chair_key"]
    )
    if request.chat is not None:
        conversation = replace(conversation, options=request.chat.options)
    if not is_graph(mode):
        check_roster(MODES[mode], conversation)
    if loaded["active"]:
        active = loaded["active"]
        raise TurnConflict(active["id"], retry_after_s=max(1, math.ceil(active["retry_after_s"])))
    if loaded["rate_limited_s"] is not None:
        raise RateLimited(retry_after_s=math.ceil(loaded["rate_limited_s"]))
    if loaded["too_many_active_s"] is not None:
        raise TooManyActiveTurns(retry_after_s=max(1, math.ceil(loaded["too_many_active_s"])))
    header = Header(
        turn_id,
        request.tenant_id,
        request.session_id,
        session["next_turn_index"],
        mode,
        request.message,
        request.chat.past if request.chat else None,
    )
    columns = _columns(request, header, session["fan_out"], roster, session["chair_key"])
    columns |= {**told, "t_unpinned": any(unpinned) or None}
    return Draft(header, conversation, columns, loaded["is_newcomer"])


def _tell(session: dict[str, Any], chat: ChatRequest | None) -> Params:
    """Put the past and the system messages that a chat program's request brings along into its session. Returns the
    columns by which accepting the turn stores what is new of them."""
    if chat is None:
        return {"t_tells": None}
    imported = chat.made.lines if chat.made else None
    differs, session["instructions"] = session["instructions"] != chat.instructions, chat.instructions
    session["imported"] = imported or session["imported"]
    stored = {"t_instructions": chat.instructions, "t_imported": json_text(imported) if imported else None}
    return {**stored, "t_tells": bool(imported) or differs or None}


def conversation_of(
    loaded: Row,
    roster: dict[str, Agent],
    message: str,
    requested: tuple[str, ...] | None,
    fan_out: str,
    chair_key: str | None,
) -> Conversation:
    """What was loaded for a turn, as the council knows it."""
    history = tuple(
        PastTurn(
            turn["message"],
            tuple(Said(reply["agent_key"], reply["name"], reply["text"]) for reply in turn["replies"] or ()),
            turn["turn_index"],
            turn["fan_out"] == "parallel" and turn["mode"] in FANNED_OUT,
        )
        for turn in loaded["history"] or ()
    )
    summary = _summary(loaded["summary"]) if loaded["summary"] else None
    session = loaded["session"] or {}
    if session.get("imported") and (not history or history[0].turn_index == 1):
        history = (*imported_turns(session["imported"], roster), *history)
    return Conversation(
        roster=MappingProxyType(roster),
        history=history,
        message=message,
        requested_agent_keys=requested,
        parallel=fan_out == "parallel",
        summary=summary,
        chair_key=chair_key,
        instructions=session.get("instructions"),
    )


def _summary(row: dict[str, Any]) -> Summary:
    return Summary(row["through_turn_index"], row["text"], *stored_items(row))


def _stored(used: dict[str, Any], request: TurnRequest) -> Stored:
    if used["fingerprint"] != request.fingerprint():
        raise IdempotencyKeyReused
    return Stored(UUID(used["id"]), used["status"], used["response"])


def _roster(agents: list[dict[str, Any]], keys: list[str]) -> dict[str, Agent]:
    """The session's enabled agents, in its order. It contains agents whose alias the catalog lacks, so that their
    replies say why they were not asked. Raises NoAgent if no agent can be asked."""
    by_key = {agent["key"]: Agent(**agent) for agent in agents}
    roster = {key: by_key[key] for key in keys if key in by_key and by_key[key].enabled}
    if not any(agent.model_alias in catalog() for agent in roster.values()):
        raise NoAgent
    return roster


def _check_requested(request: TurnRequest, keys: list[str], roster: dict[str, Agent]) -> None:
    for key in request.agent_keys or ():
        if key not in keys:
            raise UnknownAgent(f"The agent '{key}' is not in this session's roster.")
        if key not in roster:
            raise UnknownAgent(f"The agent '{key}' is disabled.")
        if roster[key].model_alias not in catalog():
            raise UnknownAgent(f"The agent '{key}' has a model alias that this deployment does not have.")


def _columns(
    request: TurnRequest, header: Header, fan_out: str, roster: dict[str, Agent], chair_key: str | None
) -> dict[str, object]:
    return {
        "t_id": header.turn_id,
        "t_tenant_id": request.tenant_id,
        "t_session_id": request.session_id,
        "t_turn_index": header.turn_index,
        "t_user_id": request.user_id,
        "t_idempotency_key": request.idempotency_key,
        "t_fingerprint": request.fingerprint(),
        "t_message": request.message,
        "t_mode": header.mode,
        "t_fan_out": fan_out,
        "t_requested_agent_keys": request.agent_keys and list(request.agent_keys),
        "t_roster": json_text([{"key": agent.key, "version": agent.version} for agent in roster.values()]),
        "t_plan": None,
        "t_api_key_id": request.api_key_id,
        "t_chair_key": chair_key,
        "t_options": request.chat and options_as_json(request.chat.options),
        "t_past": request.chat.past if request.chat else None,
        "t_request_hash": request.chat and request.chat.request_hash,
        **made_params(request.chat.made if request.chat else None),
        "t_turns_per_minute": settings().turns_per_minute,
        "t_active_turns": settings().tenant_active_turns,
        **request.actor.params,
    }
