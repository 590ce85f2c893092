"""A provider without a model: it sends scripted replies, and otherwise repeats the user's message.

The same prompt always gets the same text and count, so a test knows a turn's cost beforehand.
"""

import re
import threading
from collections import deque
from collections.abc import Callable

from shared.domain.money import Usage
from shared.llm.port import Completion, OnText, Request, storable

Reply = str | Completion
ECHO_CHARACTERS = 200
_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+")


class ScriptedProvider:
    """`requests` are those received so far, in order of arrival. Safe to call from several threads."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._script: deque[Reply | Callable[[Request], Reply]] = deque()
        self._lock = threading.Lock()

    def enqueue(self, *replies: Reply | Callable[[Request], Reply]) -> None:
        """Add the replies of the next calls: a text, an outcome, or a function of the request that returns either. An
        exception of such a function reaches the caller, so that a script can fail its test."""
        with self._lock:
            self._script.extend(replies)

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        """Return the next reply of the script, else an echo of the last user message. A text is streamed word by
        word."""
        with self._lock:
            self.requests.append(request)
            reply = self._script.popleft() if self._script else _echo
        if callable(reply):
            reply = reply(request)
        completion = reply if isinstance(reply, Completion) else _completion(request, reply)
        if on_text is not None:
            for piece in _WORD.findall(completion.text):
                on_text(piece)
        return completion


def _echo(request: Request) -> str:
    heard = [message.text for message in request.messages if message.role == "user"]
    return f"You said: {heard[-1][:ECHO_CHARACTERS]}" if heard else "You said nothing."


def _completion(request: Request, text: str) -> Completion:
    """Count each word as a token, so that counts can be checked by eye. The text is storable, as the port demands."""
    text = storable(text)
    heard = sum(len(message.text.split()) for message in request.messages)
    usage = Usage(input_tokens=heard, output_tokens=len(text.split()))
    request_id = f"scripted-{request.call_id}"
    return Completion("succeeded", text, "end_turn", usage, request_id)
