"""Take the turn of a chat program: find its conversation or begin it, and answer a request that was sent before.

A chat program sends the whole conversation each time, and no id of ours. Its session is made when its turn is accepted,
so that a refused request leaves none.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from uuid6 import uuid7

from shared.catalog import catalog
from shared.db.api.new_tenants import add_roster
from shared.db.api.wait_slots import wait_slot
from shared.db.chat import Found, KnownTurn, Model, NewChat, Sought, find_chat
from shared.db.turns import StoredTurn, load_turn
from shared.domain.actor import Actor
from shared.domain.chat import Line, beginning, extended
from shared.domain.conversation import Options
from shared.domain.outcome import TurnOutcome
from shared.domain.turn import CALL
from shared.domain.turn_events import Event, Listener
from shared.errors import (
    DatabaseUnavailable,
    IdempotencyKeyReused,
    JournalUnavailable,
    NotFound,
    SessionDeleted,
    TurnConflict,
    UnknownModel,
)
from shared.turns.acceptance import Renamed
from shared.turns.chat_request import SAME_REQUEST_RETRY_S, ChatRequest
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn

# Between finding and accepting, other requests may give the conversation's name another meaning.
_MOST_LOOKS: Final = 10
# A request that waits reads the turn again after a tenth of the time that it has waited, between these bounds, in
# seconds.
_POLL_S: Final = 0.2
_POLL_AT_MOST_S: Final = 1.0
# The rest of the process's time, in seconds, in which no request waits any more.
_LAST_S: Final = 1.0
_TITLE_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A chat program's request. `lines` are the conversation before `message`. `model` is the key of an agent or a
    council. It is None for a plain call, which asks `alias`. Without `has_own_key`, the key is not the program's.
    `is_retry`: the program says that it sends the request again."""

    actor: Actor
    request_hash: bytes
    message: str
    model: str | None
    alias: str | None = None
    lines: Sequence[Line] = ()
    instructions: str | None = None
    options: Options = field(default_factory=Options)
    name: str | None = None
    idempotency_key: str | None = None
    has_own_key: bool = True
    is_retry: bool = False
    api_key_id: UUID | None = None

    @property
    def turn_hash(self) -> bytes:
        """The hash that the turn bears. Requests with keys of their own are different ones, whatever they say."""
        if self.idempotency_key is None or not self.has_own_key:
            return self.request_hash
        return hashlib.sha256(self.request_hash + self.idempotency_key.encode()).digest()


@dataclass(frozen=True, slots=True)
class _Place:
    """The session of a turn, and the hash of its conversation with the message. `made` is set if it is new."""

    session_id: UUID
    past: bytes | None
    made: NewChat | None = None


def take_chat(runner: Runner, chat: ChatTurn, listener: Listener | None = None) -> TurnOutcome:
    """Run the turn as `take_turn` does, or answer with the turn of the same request. The outcome of a turn that another
    process runs is the turn as it stands when this process's time ends.

    Raises UnknownModel, and what `take_turn` raises."""
    for _ in range(_MOST_LOOKS):
        found = _find(runner, chat)
        known = None if found is None else _known(chat, found)
        if known is not None:
            return follow_turn(runner, chat.actor, known.turn_id, listener)
        # Another request may have used the key or the name since, or removed the session. The next look finds what
        # stands now.
        with suppress(IdempotencyKeyReused, NotFound, Renamed):
            return take_turn(runner, _request(chat, _place(chat, found)), listener)
    raise JournalUnavailable("Other requests were faster each time. Send the request again.")


def _find(runner: Runner, chat: ChatTurn) -> Found | None:
    """None: the request is a plain call, which no stored turn answers."""
    if chat.model is None and chat.idempotency_key is None:
        return None
    actor, model = chat.actor, chat.model or ""
    past = extended(_beginning(chat), chat.lines) if chat.lines else None
    sought = Sought(chat.turn_hash, model, chat.name, past, chat.idempotency_key)
    try:
        found = find_chat(runner.db, actor.tenant_id, actor.user_id, sought)
        if chat.model is not None and found.model is None and add_roster(runner.db, actor.tenant_id):
            found = find_chat(runner.db, actor.tenant_id, actor.user_id, sought)
    except DatabaseUnavailable as error:
        raise JournalUnavailable from error
    return found


def _known(chat: ChatTurn, found: Found) -> KnownTurn | None:
    """The stored turn that answers this request. Raises IdempotencyKeyReused, TurnConflict, SessionDeleted."""
    turn = found.keyed
    # A deleted turn has no hash any more. The release before left the key out of it.
    if turn is not None and not turn.is_deleted and turn.request_hash not in (chat.turn_hash, chat.request_hash):
        raise IdempotencyKeyReused
    # A key says more than the number of a retry.
    is_retry = chat.is_retry and chat.idempotency_key is None
    if turn is None and found.retried is not None and (found.retried.is_running or is_retry):
        turn = found.retried
    if turn is None:
        return None
    if turn.is_running and (turn.is_call or (found.keyed is None and not chat.is_retry)):
        lease_s = max(1, math.ceil(turn.retry_after_s or 0))
        raise TurnConflict(str(turn.turn_id), retry_after_s=lease_s if turn.is_call else SAME_REQUEST_RETRY_S)
    if turn.is_call:
        raise SessionDeleted("The answer to a call of an alias is not stored. Send the request with another key.")
    if turn.is_deleted:
        raise SessionDeleted
    return turn


def _place(chat: ChatTurn, found: Found | None) -> _Place:
    """The session to continue, or a new one. Raises UnknownModel."""
    if chat.model is not None and (found is None or found.model is None):
        raise UnknownModel(param="model")
    last = [Line("user", chat.message)]
    if found is not None and found.session_id is not None:
        return _Place(found.session_id, extended(found.past or _beginning(chat), last))
    past = None if chat.model is None else extended(_beginning(chat), [*chat.lines, *last])
    return _Place(uuid7(), past, _new_chat(chat, found))


def _new_chat(chat: ChatTurn, found: Found | None) -> NewChat:
    """Raises UnknownModel."""
    if chat.alias is not None:
        if chat.alias not in catalog():
            raise UnknownModel(param="model")
        return NewChat(Model(chat.alias, CALL, ()), "call")
    assert found is not None
    assert found.model is not None
    title = chat.message.strip().partition("\n")[0].strip()[:_TITLE_CHARACTERS]
    return NewChat(found.model, "chat", title, chat.name, found.named_id, tuple(chat.lines))


def _request(chat: ChatTurn, place: _Place) -> TurnRequest:
    # A plain call has its own messages, and stores none.
    instructions = None if chat.model is None else chat.instructions
    return TurnRequest(
        tenant_id=chat.actor.tenant_id,
        user_id=chat.actor.user_id,
        is_admin=chat.actor.is_admin,
        session_id=place.session_id,
        message=chat.message,
        idempotency_key=chat.idempotency_key,
        api_key_id=chat.api_key_id,
        chat=ChatRequest(chat.turn_hash, place.past, chat.options, instructions, place.made),
    )


def _beginning(chat: ChatTurn) -> bytes:
    return beginning(chat.actor.tenant_id, chat.actor.user_id, chat.model or "")


def follow_turn(runner: Runner, actor: Actor, turn_id: UUID, listener: Listener | None) -> TurnOutcome:
    """Answer with a stored turn. Wait for its end if it runs, while this process has time and the tenant a slot."""
    turn = _load(runner, actor, turn_id)
    if listener is not None:
        listener(Event("turn", turn.body, None))
    if not turn.ended and (patience_s := runner.seconds_left() - _LAST_S) > 0:
        with wait_slot(runner.db, actor.tenant_id, patience_s + _LAST_S) as waits:
            turn = _wait(runner, actor, turn, patience_s) if waits else turn
    if listener is not None:
        listener(Event("turn.ended" if turn.ended else "turn.handed_over", turn.body, None))
    return TurnOutcome(turn.id, turn.status, turn.body, replayed=turn.ended)


def _wait(runner: Runner, actor: Actor, turn: StoredTurn, patience_s: float) -> StoredTurn:
    """Read the turn again and again until it has ended. No transaction is open while this sleeps."""
    began = time.monotonic()
    while not turn.ended and (waited := time.monotonic() - began) < patience_s:
        time.sleep(min(max(_POLL_S, waited / 10), _POLL_AT_MOST_S, patience_s - waited))
        turn = _load(runner, actor, turn.id)
    return turn


def _load(runner: Runner, actor: Actor, turn_id: UUID) -> StoredTurn:
    """Raises SessionDeleted."""
    try:
        return load_turn(runner.db, actor, turn_id)
    except NotFound as error:
        raise SessionDeleted from error
