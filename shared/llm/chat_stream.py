"""Assemble a streamed chat completion, for live reading and for whole bodies.

The result has the form of a completion without a stream, so the same code reads its count and text.
"""

from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

from shared.llm.body import MAX_BODY_BYTES
from shared.llm.chat_message import is_refused, text_of, thoughts_of
from shared.llm.server_sent_events import ServerSentEvents, begins_events

# Every chunk has these, or they are read separately.
_NOT_OF_ERROR: Final = ("choices", "usage", "id")


class ChatStream:
    """Of several choices, only the first counts. Keeps text, thinking and refusals, and the newest count."""

    def __init__(self) -> None:
        self._events = ServerSentEvents()
        # StringIO, because millions of short pieces would take ten times their length in a list.
        self._text = StringIO()
        self._added: list[str] = []
        self._thoughts: dict[str, StringIO] = {}
        self._refusal = False
        self._error: Mapping[str, Any] = {}
        self._usage: object = None
        self._usage_of_choice: object = None
        self._id: object = None
        self._index: object = None
        self._finish_reason: object = None
        self._is_whole = False
        # The number of kept characters.
        self._size = 0

    @staticmethod
    def begins(start: bytes) -> bool | None:
        """Whether a body with this beginning is such a stream. None: too short to tell."""
        return begins_events(start)

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer has arrived, even if the body has not ended."""
        return self._events.is_done and self._count() is not None

    def take(self, chunk: bytes) -> str:
        """Return the text that `chunk` adds. Raises ValueError or RecursionError for a damaged or too long stream."""
        self._added.clear()
        for event in self._events.take(chunk):
            self._add(event)
        return "".join(self._added)

    def document(self) -> dict[str, Any]:
        """Return the whole completion after the body's end. Raises ValueError for an incomplete stream, because its
        last count is not the call's."""
        for event in self._events.end():
            self._add(event)
        is_ended = self._events.is_done or self._is_whole or self._finish_reason
        if not (is_ended or self._error):
            raise ValueError("the stream is incomplete")
        told = {"id": self._id, "usage": self._count()}
        choice = {"message": self._message(), "finish_reason": self._finish_reason}
        choices = [] if self._index is None else [choice]
        return {**self._error, **{name: of for name, of in told.items() if of is not None}, "choices": choices}

    def _count(self) -> object:
        return self._usage or self._usage_of_choice

    def _add(self, event: Any) -> None:
        if not isinstance(event, dict):
            return
        self._id = event.get("id") or self._id
        self._usage = event.get("usage") or self._usage
        if _is_error(event):
            self._fail(event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and self._is_first(choice):
                self._add_choice(choice)
                break

    def _is_first(self, choice: Mapping[str, Any]) -> bool:
        index = choice.get("index") or 0
        if self._index is None:
            self._index = index
        return bool(index == self._index)

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        # Some servers put the count into the last choice.
        self._usage_of_choice = choice.get("usage") or self._usage_of_choice
        if choice.get("error"):
            self._fail({"error": choice["error"]})
        delta, message = choice.get("delta"), choice.get("message")
        if delta:
            self._add_text(text_of(delta))
            for name, thought in thoughts_of(delta).items():
                self._think(name, thought)
        self._refusal = self._refusal or is_refused(delta) or is_refused(message)
        if message:
            self._is_whole = self._is_whole or not delta
            self._add_message(message)

    def _add_message(self, message: object) -> None:
        """Add a message that repeats the text before it. A text that does not continue it is left out, because readers
        have seen the other."""
        self._add_text(_rest(text_of(message), self._text))
        for name, thought in thoughts_of(message).items():
            self._think(name, _rest(thought, self._thoughts.get(name)))

    def _add_text(self, text: str) -> None:
        if text:
            self._keep(text)
            self._text.write(text)
            self._added.append(text)

    def _think(self, name: str, thought: str) -> None:
        self._keep(thought)
        self._thoughts.setdefault(name, StringIO()).write(thought)

    def _keep(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_BODY_BYTES:
            raise ValueError("the answer is too long")

    def _fail(self, event: Mapping[str, Any]) -> None:
        """Keep the first error. Later ones follow from it."""
        if not self._error:
            told = {name: of for name, of in event.items() if name not in _NOT_OF_ERROR}
            self._error = told if event.get("error") else {"error": told}

    def _message(self) -> dict[str, Any]:
        thoughts = {name: [{"text": thought.getvalue()}] for name, thought in self._thoughts.items()}
        content: object = self._text.getvalue()
        if (within := thoughts.pop("content", None)) is not None:
            content = [{"type": "thinking", **within[0]}, {"type": "text", "text": content}]
        refusal = {"refusal": True} if self._refusal else {}
        return {"role": "assistant", "content": content, **thoughts, **refusal}


def _rest(whole: str, known: StringIO | None) -> str:
    """Return the part of `whole` after the known text. Empty if it does not begin with that."""
    if known is None:
        return whole
    # Each comparison copies the known text, so a shorter one is not compared.
    length = known.tell()
    return whole[length:] if len(whole) > length and whole.startswith(known.getvalue()) else ""


def _is_error(event: Mapping[str, Any]) -> bool:
    """Whether an event is an error: under that name, or as the body of a refusal."""
    if event.get("error") or "error" in (event.get("object"), event.get("type")):
        return True
    return "choices" not in event and any(event.get(name) for name in ("detail", "errors", "message"))
