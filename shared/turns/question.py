"""Run the turn of a program that asks an agent or a council by its key, in a new session or an existing one.

A question in a session goes to the session's own agents, and never changes them.
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
    """A message for the agent or council `key`. Without a session, it begins a new one. `has_own_key`: the client
    itself sent the idempotency key."""

    actor: Actor
    key: str
    message: str
    idempotency_key: str
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    has_own_key: bool = True

    def hash(self) -> bytes:
        """Return a hash that is equal for the same user, key and message of a new session."""
        content = [self.actor.tenant_id, self.actor.user_id, "mcp", self.key, self.message]
        return hashlib.sha256(json.dumps(content).encode()).digest()


def take_question(runner: Runner, question: Question, listener: Listener | None = None) -> TurnOutcome:
    """Run the turn as `take_turn` does. If another process runs the key's turn, wait for it while this process has
    time.

    Raises UnknownModel, InvalidRequest, and the errors of `take_turn`."""
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
        # The key returns its turn, even if the agent or council is gone. `take_turn` refuses a different request.
        return alone if used == alone.fingerprint() else request
    if session is None or session.key == question.key:
        # `take_turn` refuses a missing session, and knows whether its key was used before the deletion.
        return request
    if model is None:
        raise UnknownModel
    if _is_agent(model):
        # `take_turn` refuses an agent that is not in the session.
        return alone
    if replace(session, key=model.key) != model:
        detail = f"The session is not one of the council '{question.key}'. Without session_id, a new session begins."
        raise InvalidRequest(detail)
    return request


def _is_agent(model: Model) -> bool:
    """Whether the model is an agent. Agents and councils share one namespace, so only an agent can be in its own
    roster."""
    return model.agent_keys == (model.key,)
