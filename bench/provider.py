"""Answer every call with the same text, at once or after a wait, so that the figures exclude the provider.

A streamed text comes in words, all at once.
"""

import json
import re
import time

from shared.domain.money import Usage
from shared.llm.port import Completion, OnText, Request

_TEXT = "I would first find out who needs it and by when, and write that down before anything else is decided. " * 3
_WORDS = re.findall(r"\S+\s*", _TEXT)
_USAGE = Usage(input_tokens=420, output_tokens=70)
_STRUCTURE = {
    "add": {
        "key_facts": ["The launch is on the third of May."],
        "decisions": ["We write it down first."],
        "open_questions": [],
        "action_items": ["Find out who needs it."],
    },
    "replace": [],
    "close": [],
}


class BenchProvider:
    """The provider. `route` is the routing manager's choice, `wait_s` the seconds of each call."""

    def __init__(self, route: list[str], wait_s: float = 0.0) -> None:
        self._decision = json.dumps({"selected_agent_keys": route, "reason": "They know."})
        self._wait_s = wait_s

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        if self._wait_s:
            time.sleep(self._wait_s)
        text = self._text(request)
        if on_text is not None:
            on_text(text)
        return Completion("succeeded", text, "end_turn", _USAGE, "bench")

    def _text(self, request: Request) -> str:
        match request.response_schema:
            case {"properties": {"selected_agent_keys": _}}:
                return self._decision
            case {"properties": {"close": _}}:
                return json.dumps(_STRUCTURE)
        return _TEXT
