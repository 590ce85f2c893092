"""Take the turn of a program that asks an agent or a council by its key: in a new session, or in one that is there.

A question in a session is for the session's own agents. It never changes who they are.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from uuid import UUID

from shared.db.chat import Model, find_asked
from shared.domain.actor import Actor
from shared.domain.outcome import TurnOutcome
from shared.domain.turn_events import Listener
from shared.errors import DatabaseUnavailable, InvalidRequest, JournalUnavailable, UnknownModel
from shared.turns.conversations import ChatTurn, follow_turn, take_chat
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn


@dataclass(frozen=True, slots=True)
class Question:
    """A message for the agent or the council with this key. Without a session, it begins a new one. Without
    `has_own_key`, the idempotency key was made for the client."""

    actor: Actor
    key: str
    message: str
    idempotency_key: str
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    has_own_key: bool = True

    def hash(self) -> bytes:
        """The same for the same user, key and message of a new session."""
        content = [self.actor.tenant_id, self.actor.user_id, "mcp", self.key, self.message]
        return hashlib.sha256(json.dumps(content).encode()).digest()


def take_question(runner: Runner, question: Question, listener: Listener | None = None) -> TurnOutcome:
    """Run the turn as `take_turn` does. A key whose turn another process runs waits for it, as long as this process has
    time. Raises UnknownModel, InvalidRequest, and what `take_turn` raises."""
    if question.session_id is None:
        return take_chat(runner, _chat(question), listener)
    outcome = take_turn(runner, _request(runner, question, question.session_id), listener)
    if outcome.ended or outcome.handed_over or outcome.calls:
        return outcome
    return follow_turn(runner, question.actor, outcome.turn_id, listener)


def _chat(question: Question) -> ChatTurn:
    return ChatTurn(
        actor=question.actor,
        request_hash=question.hash(),
        message=question.message,
        model=question.key,
        idempotency_key=question.idempotency_key,
        has_own_key=question.has_own_key,
        api_key_id=question.api_key_id,
    )


def _request(runner: Runner, question: Question, session_id: UUID) -> TurnRequest:
    request = TurnRequest(
        tenant_id=question.actor.tenant_id,
        user_id=question.actor.user_id,
        is_admin=question.actor.is_admin,
        session_id=session_id,
        message=question.message,
        idempotency_key=question.idempotency_key,
        api_key_id=question.api_key_id,
    )
    try:
        model, session, used = find_asked(runner.db, question.actor, session_id, question.key, question.idempotency_key)
    except DatabaseUnavailable as error:
        raise JournalUnavailable from error
    alone = replace(request, mode="manual", agent_keys=(question.key,))
    if used is not None:
        # The key gets its turn, whatever has become of the agent or the council. `take_turn` refuses another request.
        return alone if used == alone.fingerprint() else request
    if session is None or session.key == question.key:
        # `take_turn` refuses a session that is not there, and knows whether its key was used before it was deleted.
        return request
    if model is None:
        raise UnknownModel
    if _is_agent(model):
        # `take_turn` refuses an agent that is not of the session.
        return alone
    if replace(session, key=model.key) != model:
        detail = f"The session is not one of the council '{question.key}'. Without session_id, a new session begins."
        raise InvalidRequest(detail)
    return request


def _is_agent(model: Model) -> bool:
    """Agents and councils share one namespace, so that only an agent can be in its own roster."""
    return model.agent_keys == (model.key,)
