"""Read the server-sent events of a chat completion, from bytes that may be split anywhere.

Each `data:` line with JSON is an event, because some servers leave out the blank lines. A JSON document over several
`data:` lines ends with the blank line.
"""

import codecs
import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any, Final

from shared.llm.body import MAX_BODY_BYTES

DONE: Final = "[DONE]"
_BLANKS: Final = b" \t\r\n"
_STARTS: Final = (b"data:", b"event:", b":", b"id:", b"retry:")
# A stream does not begin with more blanks than this.
_MOST_BLANKS: Final = 1024
# str.splitlines would also split at characters that JSON may hold.
_LINE_END: Final = re.compile("\r\n|\r|\n")
_DECODER: Final = json.JSONDecoder(strict=False)
# Events with other names are for other clients, or keep the connection alive.
_OUR_NAMES: Final = ("", "message", "error")


def begins_events(start: bytes) -> bool | None:
    """Whether a body with this beginning is a stream of events. None: too short to tell."""
    text = start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    if text.startswith(_STARTS):
        return True
    may_begin = any(each.startswith(text) for each in _STARTS) or codecs.BOM_UTF8.startswith(text)
    return None if may_begin and len(start) <= _MOST_BLANKS else False


class ServerSentEvents:
    """Splits a body into events. `is_done`: `[DONE]` has come."""

    def __init__(self) -> None:
        self.is_done = False
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._ends_in_cr = False
        # The beginning of an unfinished line. A list of short parts would take twenty times their length.
        self._line = StringIO()
        # The characters of this line and of the document.
        self._size = 0
        self._name = ""
        # The lines of an unfinished document.
        self._data = StringIO()

    def take(self, chunk: bytes) -> Iterator[Any]:
        """Yield the events that `chunk` completes. An event named `error` is yielded as `{"error": data}`. Raises
        ValueError or RecursionError for an event that is not JSON or too long."""
        for line in self._lines(self._decode(chunk)):
            yield from self._read(line)

    def end(self) -> Iterator[Any]:
        """Yield the event that the end of the body completes. Raises as `take` does."""
        for line in (*self._lines(f"{self._decode(b'', final=True)}\n"), ""):
            yield from self._read(line)

    def _lines(self, text: str) -> Iterator[str]:
        if not text:
            return
        if self._ends_in_cr and text.startswith("\n"):
            # The carriage return before it ended the line.
            text = text[1:]
        self._ends_in_cr = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        self._keep(first)
        for line in others:
            whole, self._line, self._size = self._line.getvalue(), StringIO(), self._data.tell()
            yield whole
            self._keep(line)

    def _keep(self, part: str) -> None:
        self._size += len(part)
        if self._size > MAX_BODY_BYTES:
            raise ValueError("an event is too long")
        self._line.write(part)

    def _read(self, line: str) -> Iterator[Any]:
        if not line:
            yield from self._document()
            return
        field, _, value = line.partition(":")
        field = field.strip("\ufeff \t")
        if field == "event":
            self._name = value.strip()
        elif field == "data" and value.strip() == DONE:
            self.is_done = True
        elif field == "data" and self._data.tell():
            self._data.write(f"{value}\n")
        elif field == "data" and value.strip():
            yield from self._event_of_a_line(value)

    def _event_of_a_line(self, value: str) -> Iterator[Any]:
        try:
            event = _DECODER.decode(value.strip())
        except ValueError:
            # The document may continue on the next lines.
            self._data.write(f"{value}\n")
        else:
            yield self._named(event)

    def _document(self) -> Iterator[Any]:
        """Yield the document that a blank line ends."""
        if (text := self._data.getvalue().strip()) and self._name == "error":
            yield self._named(_error_of(text))
        elif text and self._name in _OUR_NAMES:
            yield self._named(_DECODER.decode(text))
        self._forget()

    def _named(self, event: Any) -> Any:
        name = self._name
        self._forget()
        if name == "error" and not (isinstance(event, dict) and event.get("error")):
            return {"error": event}
        return event

    def _forget(self) -> None:
        self._name = ""
        if self._data.tell():
            self._data = StringIO()


def _error_of(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except ValueError:
        return {"message": text}
