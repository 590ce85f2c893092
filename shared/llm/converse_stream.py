"""Assemble a response of Bedrock's ConverseStream into a response of Converse."""

import json
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, Final

from botocore.eventstream import EventStreamBuffer

from shared.llm.body import MAX_BODY_BYTES

# A frame begins with its length in four bytes, and has at least a prelude and a checksum.
_LENGTH: Final = 4
_SHORTEST: Final = 16
_DECODER: Final = json.JSONDecoder(strict=False)


class ConverseStream:
    """Keeps text and thinking, and the newest count. An exception in the stream is kept as its error."""

    def __init__(self) -> None:
        self._frames = bytearray()
        self._text = StringIO()
        self._thinking = StringIO()
        self._added: list[str] = []
        self._thought = False
        # The stop reason, the count and the error, by their names in the document.
        self._told: dict[str, Any] = {}
        # The number of kept characters.
        self._size = 0

    @staticmethod
    def begins(start: bytes) -> bool | None:
        """Whether a body with this beginning is such a stream. None: too short to tell."""
        # The first byte of a frame's length. No text begins with it.
        return start.startswith(b"\x00") if start else None

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer has arrived, even if the body has not ended."""
        return self._told.keys() >= {"stopReason", "usage"}

    def take(self, chunk: bytes) -> str:
        """Return the text that `chunk` adds. Raises ValueError or RecursionError for a damaged or too long stream."""
        self._added.clear()
        self._frames += chunk
        for headers, payload in self._whole_frames():
            self._add(headers, _DECODER.decode(payload.decode("utf-8", "replace") or "{}"))
        return "".join(self._added)

    def document(self) -> dict[str, Any]:
        """Return the whole response after the body's end. Raises ValueError if a frame is incomplete."""
        if self._frames:
            raise ValueError("the stream is incomplete")
        thought = [{"reasoningContent": {"reasoningText": {"text": self._thinking.getvalue()}}}]
        content = [*(thought if self._thought else ()), {"text": self._text.getvalue()}]
        return {"output": {"message": {"role": "assistant", "content": content}}, **self._told}

    def _whole_frames(self) -> Iterator[tuple[Mapping[str, Any], bytes]]:
        while len(self._frames) >= _LENGTH:
            length = int.from_bytes(self._frames[:_LENGTH])
            if not _SHORTEST <= length <= MAX_BODY_BYTES:
                raise ValueError("no frame has this length")
            if len(self._frames) < length:
                return
            frame = bytes(self._frames[:length])
            del self._frames[:length]
            yield _decode(frame)

    def _add(self, headers: Mapping[str, Any], payload: Any) -> None:
        if headers.get(":message-type") != "event":
            self._told.setdefault("error", _error(headers, payload))
            return
        match headers.get(":event-type"), payload:
            case "contentBlockDelta", {"delta": {"text": str(text)}}:
                self._keep(text, self._text)
                self._added.append(text)
            case "contentBlockDelta", {"delta": {"reasoningContent": thought}}:
                # Redacted thinking has no text.
                self._thought = True
                match thought:
                    case {"text": str(text)}:
                        self._keep(text, self._thinking)
            case "messageStop", {"stopReason": reason}:
                self._told["stopReason"] = reason
            case "metadata", {"usage": dict(usage)}:
                self._told["usage"] = usage

    def _keep(self, text: str, where: StringIO) -> None:
        self._size += len(text)
        if self._size > MAX_BODY_BYTES:
            raise ValueError("the answer is too long")
        where.write(text)


def _decode(frame: bytes) -> tuple[Mapping[str, Any], bytes]:
    buffer = EventStreamBuffer()
    try:
        buffer.add_data(frame)
        event = next(buffer)
    except Exception as error:
        # Wrong checksums and headers raise exceptions of many kinds.
        raise ValueError("a damaged frame") from error
    return event.headers, event.payload


def _error(headers: Mapping[str, Any], payload: Any) -> dict[str, Any]:
    told = payload if isinstance(payload, dict) else {}
    message = told.get("message") or told.get("Message") or headers.get(":error-message")
    return {"message": message, "type": headers.get(":exception-type") or headers.get(":error-code")}
