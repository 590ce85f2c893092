"""Writes the frames of ConverseStream as Bedrock does: `application/vnd.amazon.eventstream`."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.fake_provider.streamed import words

_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    written = b"".join(map(_header, headers.items()))
    prelude = struct.pack(">II", 16 + len(written) + len(payload), len(written))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + written + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, payload: object) -> bytes:
    return _of_type({":message-type": "event", ":event-type": name}, json.dumps(payload).encode())


def exception(name: str, message: str = "No.") -> bytes:
    return _of_type({":message-type": "exception", ":exception-type": name}, json.dumps({"message": message}).encode())


def frames_of(document: Mapping[str, Any], raw: bytes | None = None, mark: bytes = b"<raw>") -> list[bytes]:
    """The frames of a whole response. `raw` takes the place of the `mark`."""
    return [
        _of_type(
            {":message-type": "event", ":event-type": name}, json.dumps(payload).encode().replace(mark, raw or mark)
        )
        for name, payload in _events(document)
    ]


def text(piece: str, block: int = 0) -> bytes:
    return event("contentBlockDelta", {"delta": {"text": piece}, "contentBlockIndex": block})


def _events(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    message = document["output"]["message"]
    yield "messageStart", {"role": message["role"]}
    for index, block in enumerate(message["content"]):
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield "contentBlockStart", {"start": {"toolUse": start}, "contentBlockIndex": index}
        for delta in _deltas(block):
            yield "contentBlockDelta", {"delta": delta, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": document["stopReason"]}
    if document["usage"] is not None:
        yield "metadata", {"usage": document["usage"], "metrics": {"latencyMs": 1}}


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match block:
        case {"text": str(said)}:
            yield from ({"text": word} for word in words(said))
        case {"reasoningContent": {"reasoningText": dict(thought)}}:
            yield from ({"reasoningContent": {"text": word}} for word in words(thought["text"]))
            yield {"reasoningContent": {"signature": thought.get("signature", "")}}
        case {"reasoningContent": dict(thought)}:
            yield {"reasoningContent": thought}
        case {"toolUse": dict(tool)}:
            yield {"toolUse": {"input": json.dumps(tool["input"])}}


def _of_type(headers: Mapping[str, str], payload: bytes) -> bytes:
    return frame({**headers, ":content-type": "application/json"}, payload)


def _header(header: tuple[str, str]) -> bytes:
    name, value = (text.encode() for text in header)
    return bytes([len(name)]) + name + bytes([_STRING]) + struct.pack(">H", len(value)) + value
