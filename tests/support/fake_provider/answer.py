"""Turns a mood into bytes, with the same text and count for the same request."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import responses
from typing import Any

from tests.support.fake_provider.moods import RAW, Mood, Received
from tests.support.fake_provider.streamed import chunked, events_of

# How a client gets to see the count.
SEEN = ("whole", "hold", "slow", "then_close")
_FOREVER = 10**12  # as a Content-Length
# A count of more is damaged, and not what is charged.
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` and `usage` are what the log says was answered: None for what the client never gets to see. `charged`
    are the tokens by class that a 2xx costs, seen or not. `parts` are the body as it is written, one after the
    other."""

    head: bytes
    parts: Sequence[bytes]
    status: int | None
    usage: Mapping[str, Any] | None
    charged: Mapping[str, int] | None

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


def make_answer(mood: Mood, received: Received, request_id: str) -> Answer:
    usage = None if mood.body is not None else mood.usage or _count(mood, received)
    pieces = _pieces(mood, received, usage, request_id)
    if pieces is not None:
        parts = chunked(pieces, ended=mood.pieces is None or mood.delivery not in ("cut_short", "stay_open"))
    else:
        parts = [mood.body if mood.body is not None else _body(mood, _completion(mood, received, usage, request_id))]
    length = _FOREVER if mood.delivery == "trickle_body" else len(parts[0])
    return Answer(
        head=_head(mood, None if pieces is not None else length, request_id),
        parts=parts,
        status=None if mood.delivery in ("trickle_headers", "reset", "close") else mood.status,
        usage=usage if mood.delivery in SEEN and (mood.pieces is None or mood.usage) else None,
        charged=_charge(mood.usage, _count(mood, received)) if 200 <= mood.status < 300 else None,
    )


def _charge(usage: Mapping[str, Any] | None, counted: Mapping[str, int]) -> dict[str, int]:
    """Return the charge by class, without overlap. A count of another type in the answer is not charged."""
    told = {**counted, **(usage or {})}
    prompt, completion = (
        told[name] if type(told[name]) is int and 0 <= told[name] <= _MOST_TOKENS else counted[name]
        for name in ("prompt_tokens", "completion_tokens")
    )
    cached = told.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    reasoning = told.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": prompt - cached,
        "output_tokens": completion - reasoning,
        "cache_read_tokens": cached,
        "reasoning_tokens": reasoning,
    }


def _pieces(mood: Mood, received: Received, usage: Mapping[str, Any] | None, request_id: str) -> Sequence[bytes] | None:
    """Return the pieces of a stream, or None for a complete answer."""
    if mood.pieces is not None or mood.body is not None or received.body.get("stream") is not True:
        return mood.pieces
    options = received.body.get("stream_options") or {}
    completion = _completion(mood, received, usage, request_id)
    return [_raw(mood, each) for each in events_of(completion, include_usage=options.get("include_usage", False))]


def _head(mood: Mood, length: int | None, request_id: str) -> bytes:
    """Of a stream if there is no length."""
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    headers = {
        "Content-Type": "application/json" if length is not None else "text/event-stream",
        **size,
        "X-Request-Id": request_id,
        **mood.headers,
    }
    lines = [
        f"HTTP/1.1 {mood.status} {responses.get(mood.status, '')}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _body(mood: Mood, document: Mapping[str, Any]) -> bytes:
    return _raw(mood, json.dumps(document).encode())


def _raw(mood: Mood, text: bytes) -> bytes:
    return text.replace(RAW.encode(), mood.raw_text or RAW.encode())


def _completion(mood: Mood, received: Received, usage: Mapping[str, Any] | None, request_id: str) -> Mapping[str, Any]:
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": 0,
        "model": received.body.get("model"),
        "choices": [{"index": 0, "message": _message(mood, received), "finish_reason": mood.finish_reason}],
        "usage": usage,
    }


def _message(mood: Mood, received: Received) -> Mapping[str, Any]:
    if mood.message is not None:
        return mood.message
    heard = received.text_of("user").removesuffix("\n</quoted>").rpartition("\n")[2]
    return {"role": "assistant", "content": f"You said: {heard[:200]}"}


def _count(mood: Mood, received: Received) -> dict[str, int]:
    """A word is a token, so that a count can be checked by eye."""
    message = _message(mood, received)
    said = message.get("refusal") or message.get("content")
    prompt = sum(len(heard["content"].split()) for heard in received.messages)
    completion = len(said.split()) if isinstance(said, str) else 0
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
