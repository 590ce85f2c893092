"""Streams a completion as server-sent events, a word each, in the chunks of HTTP."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DONE = b"data: [DONE]\n\n"
# The end of a body in chunks.
END = b"0\r\n\r\n"
_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+")


def words(text: str) -> list[str]:
    """The text in pieces, each a word with the blanks before it."""
    return _WORD.findall(text)


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def events_of(completion: Mapping[str, Any], *, include_usage: bool = True) -> list[bytes]:
    """The events of a whole completion. The count comes last, with no choice."""
    named = {name: value for name, value in completion.items() if name not in ("choices", "usage")}
    (choice,) = completion["choices"]
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}, *_deltas(message)]
    parts = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    parts.append({"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")})
    chunks: list[dict[str, Any]] = [{**named, "choices": [part], "usage": None} for part in parts]
    if include_usage and completion.get("usage") is not None:
        chunks.append({**named, "choices": [], "usage": completion["usage"]})
    return [*map(event, chunks), DONE]


def chunked(pieces: Sequence[bytes], *, ended: bool = True) -> list[bytes]:
    """Each piece as a chunk of HTTP, and the end of the body."""
    return [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), *([END] if ended else [])]


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Thinking and refusals come before the text."""
    for name, value in message.items():
        if name not in ("role", "content"):
            yield from ({name: word} for word in words(value)) if isinstance(value, str) else [{name: value}]
    content = message.get("content")
    if isinstance(content, str):
        yield from ({"content": word} for word in words(content))
    elif isinstance(content, list):
        yield from ({"content": [part]} for part in content)
    else:
        yield {"content": content}
