"""Put a streamed chat completion together: the live reader and the reader of whole bodies share this assembly.

The result has the form of a completion that was not streamed, so the same code reads the count and the text of both.
"""

from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

from shared.llm.body import MAX_BODY_BYTES
from shared.llm.chat_message import is_refused, text_of, thoughts_of
from shared.llm.server_sent_events import ServerSentEvents, begins_events

# These are in every chunk, or are read one by one.
_NOT_OF_ERROR: Final = ("choices", "usage", "id")


class ChatStream:
    """Of several choices, only the first counts. Text, thinking and refusals are kept, and the newest count."""

    def __init__(self) -> None:
        self._events = ServerSentEvents()
        # Millions of short pieces would take ten times their length in a list.
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
        # The characters that are kept.
        self._size = 0

    @staticmethod
    def begins(start: bytes) -> bool | None:
        """Whether a body with this beginning is such a stream. None: the beginning is too short to tell."""
        return begins_events(start)

    @property
    def is_complete(self) -> bool:
        """Whether everything has come, even if the body has not ended."""
        return self._events.is_done and self._count() is not None

    def take(self, chunk: bytes) -> str:
        """Return the text that `chunk` adds to the answer. Raises ValueError or RecursionError for a damaged stream,
        and ValueError for one that is too long."""
        self._added.clear()
        for event in self._events.take(chunk):
            self._add(event)
        return "".join(self._added)

    def document(self) -> dict[str, Any]:
        """The whole completion, once the body has ended. Raises ValueError for an incomplete stream, because its last
        count is not the count of the call."""
        for event in self._events.end():
            self._add(event)
        is_ended = self._events.is_done or self._is_whole or self._finish_reason
        if not (is_ended or self._error):
            raise ValueError("the stream breaks off")
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
        # Some servers count within the last choice.
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
        """Add a message that repeats what came before it. A text that does not go on from there would take back what a
        reader has seen, so it is left out."""
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
        """Keep the first error. The later ones follow from it."""
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
    """What of `whole` follows the known text. Empty if it does not begin with that."""
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
