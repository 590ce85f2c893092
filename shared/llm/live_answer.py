"""Read the body of an answer while it comes, and pass its text on at once.

A body that is not a stream is kept and read at its end. A damaged stream is also read to its end, because its headers
name the response, but nothing of it is kept.
"""

import json
import logging
from typing import Any, Final, Protocol

from shared.llm.body import MAX_BODY_BYTES
from shared.llm.port import Completion, OnText, storable

_FIRST_OF_PAIR: Final = ("\ud800", "\udbff")

logger = logging.getLogger(__name__)


class Stream(Protocol):
    """A provider's stream, assembled as it comes."""

    @staticmethod
    def begins(start: bytes, /) -> bool | None:
        """Whether a body with this beginning is such a stream. None: too short to tell."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer has arrived, even if the body has not ended."""
        ...

    def take(self, chunk: bytes, /) -> str:
        """Return the text that `chunk` adds. Raises ValueError or RecursionError for a damaged stream."""
        ...

    def document(self) -> dict[str, Any]:
        """Return the answer in the form of one without a stream. Raises ValueError for an incomplete stream."""
        ...


class LiveAnswer:
    """One answer. Call `take` with each piece of the body, then `body`, then `finish`."""

    def __init__(self, stream: Stream, on_text: OnText) -> None:
        self._stream = stream
        self._text = _LiveText(on_text)
        # None: the beginning was too short to tell.
        self._is_stream: bool | None = None
        self._is_damaged = False
        # The beginning of a stream, or another body as a whole.
        self._raw = bytearray()

    @property
    def is_stream(self) -> bool:
        return bool(self._is_stream)

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer has arrived, even if the body has not ended."""
        return self.is_stream and not self._is_damaged and self._stream.is_complete

    def take(self, chunk: bytes) -> bool:
        """Take a piece of the body of a 200. Returns whether the whole answer has arrived. Does not raise for anything
        that a provider sends."""
        self._take(chunk)
        return self.is_complete

    def _take(self, chunk: bytes) -> None:
        if self._is_damaged:
            return
        if self._is_stream:
            self._read(chunk)
            return
        self._raw += chunk
        if self._is_stream is None:
            self._is_stream = self._stream.begins(bytes(self._raw))
        if self._is_stream:
            self._read(bytes(self._raw))
            self._raw.clear()
        elif len(self._raw) > MAX_BODY_BYTES:
            self._give_up()

    def body(self) -> bytes:
        """Return the body as it came, or the JSON of an assembled stream. Empty if it is damaged or too long."""
        if self._is_damaged or not self._is_stream:
            return bytes(self._raw)
        try:
            return json.dumps(self._stream.document()).encode()
        except (ValueError, RecursionError):
            return b""

    def finish(self, completion: Completion) -> None:
        self._text.finish(completion.text)

    def _read(self, chunk: bytes) -> None:
        try:
            text = self._stream.take(chunk)
        except (ValueError, RecursionError):
            self._give_up()
        else:
            self._text.add(text)

    def _give_up(self) -> None:
        self._is_damaged = True
        self._raw.clear()


class _LiveText:
    """Passes on a text in storable pieces. A character may be split over two of them."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text: OnText | None = on_text
        # The first half of a character.
        self._half = ""
        self._told = 0

    def add(self, text: str) -> None:
        text = self._half + text
        first, last = _FIRST_OF_PAIR
        self._half = text[-1:] if first <= text[-1:] <= last else ""
        self._tell(storable(text.removesuffix(self._half)))

    def finish(self, text: str) -> None:
        self._tell(text[self._told :])

    def _tell(self, text: str) -> None:
        if not text:
            return
        self._told += len(text)
        if self._on_text is None:
            return
        try:
            self._on_text(text)
        except Exception as error:  # noqa: BLE001 - the call goes on, because its outcome must be recorded
            # The exception's text may quote the answer.
            logger.error("The text of a call reaches nobody any more (%s)", type(error).__name__)  # noqa: TRY400
            self._on_text = None
