"""A provider in the process of its caller. Each call that reaches it is a line of its log before it is answered, in the
format of `shared.reconciliation.plain_log`."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from shared.domain.money import Usage
from shared.llm.port import CallError, Completion, OnText, Request

CALL_S = 0.03
_NONSENSE = "I would rather not say."
_MEMORY = "You keep the memory"
_STRUCTURE = {"add": {"key_facts": ["It is due in May."], "decisions": [], "open_questions": [], "action_items": []}}
_ANSWER = "I would first find out who needs it and by when, and write that down. "

Arrival = Literal["billed", "unbilled", "lost"]


class Killed(BaseException):
    """The process of this turn ends here, and its runner sees no more. Nothing that it holds is written."""

    def __init__(self, turn_id: UUID) -> None:
        self.turn_id = turn_id


@dataclass(frozen=True)
class Mood:
    """How a call ends. `arrival` says whether it reaches the provider, and is billed there. `dies`: its caller ends
    before the answer. Without an `error` the answer has `text`."""

    text: str = _ANSWER
    stop_reason: str = "end_turn"
    error: CallError | None = None
    arrival: Arrival = "billed"
    dies: bool = False

    def completion(self, request: Request, usage: Usage) -> Completion:
        if self.error is None:
            return Completion("succeeded", self.text, self.stop_reason, usage, request.call_id)
        if self.error in _UNBILLED:
            return Completion("unbilled", error=self.error, retry_after_s=0.01)
        return Completion("unknown", error=self.error)


_UNBILLED = frozenset({"throttled", "unavailable", "context_overflow", "refused"})
ANSWER = Mood()
MOODS: Mapping[str, Mood] = MappingProxyType(
    {
        "answer": ANSWER,
        "long answer": Mood(_ANSWER * 20),
        "blank": Mood(" \n"),
        "filtered": Mood("Half of", "content_filtered"),
        "length without text": Mood("", "max_tokens"),
        "timeout, billed": Mood(error="timeout"),
        "timeout, lost": Mood(error="timeout", arrival="lost"),
        "5xx": Mood(error="provider_error", arrival="unbilled"),
        "unreadable": Mood(error="malformed_response"),
        "throttled": Mood(error="throttled", arrival="unbilled"),
        "too long": Mood(error="context_overflow", arrival="unbilled"),
        "killed after sending": Mood(dies=True),
        "killed before sending": Mood(arrival="lost", dies=True),
    }
)


@dataclass(frozen=True)
class MeteredProvider:
    """`choose` names the mood of a call of an agent, `helped` says whether routing and summaries are answered as they
    should be. `meanwhile` runs while a call is under way. Safe to call from several threads."""

    log: int
    choose: Callable[[], str] = lambda: "answer"
    helped: Callable[[], bool] = lambda: True
    meanwhile: Callable[[Request], None] = field(default=lambda _: None)

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        helper = _helper_text(request)
        mood = MOODS[self.choose()] if helper is None else Mood(helper if self.helped() else _NONSENSE)
        # Output is billed up to the cap, whatever the text is.
        usage = Usage(sum(message.size for message in request.messages) // 4 + 1, request.max_output_tokens)
        if mood.arrival != "lost":
            tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
            line = {"call_id": request.call_id, "billed": mood.arrival == "billed", "tokens": tokens}
            # The file is open for appending, so that lines of several processes do not mix.
            os.write(self.log, json.dumps(line).encode() + b"\n")
        self.meanwhile(request)
        time.sleep(CALL_S)
        if mood.dies:
            raise Killed(UUID(request.turn_id))
        return mood.completion(request, usage)


def _helper_text(request: Request) -> str | None:
    """A usable answer of a helper; None for an agent's call."""
    match request.response_schema:
        case {"properties": {"selected_agent_keys": {"items": {"enum": keys}}}}:
            return json.dumps({"selected_agent_keys": keys[:2], "reason": "They know."})
        case {"properties": {"close": _}}:
            return json.dumps({**_STRUCTURE, "replace": [], "close": []})
    return "They plan a launch in May." if request.messages[0].text.startswith(_MEMORY) else None
