"""A mood turned into bytes. The same request in the same mood gets the same text and the same count."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from typing import Any

from tests.fake_provider.moods import RAW, Mood, Received

_FOREVER = 10**12  # as a Content-Length
# A count of more is damaged, and not what is charged.
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` and `usage` are what the log says was answered: None for what the client never gets to see. `charged`
    are the tokens by class that a 2xx costs, seen or not."""

    head: bytes
    body: bytes
    status: int | None
    usage: Mapping[str, Any] | None
    charged: Mapping[str, int] | None


def make_answer(mood: Mood, received: Received, request_id: str) -> Answer:
    usage = None if mood.body is not None else mood.usage or _count(mood, received)
    body = mood.body if mood.body is not None else _completion(mood, received, usage, request_id)
    return Answer(
        head=_head(mood, _FOREVER if mood.delivery == "trickle_body" else len(body), request_id),
        body=body,
        status=None if mood.delivery in ("trickle_headers", "reset", "close") else mood.status,
        usage=usage if mood.delivery in ("whole", "hold", "slow", "then_close") else None,
        charged=_charge(mood.usage, _count(mood, received)) if 200 <= mood.status < 300 else None,
    )


def _charge(usage: Mapping[str, Any] | None, counted: Mapping[str, int]) -> dict[str, int]:
    """By class, without overlap. What is answered in place of a count is not what is charged."""
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


def _head(mood: Mood, length: int, request_id: str) -> bytes:
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(length),
        "X-Request-Id": request_id,
        **mood.headers,
    }
    lines = [
        f"HTTP/1.1 {mood.status} {responses.get(mood.status, '')}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _completion(mood: Mood, received: Received, usage: Mapping[str, Any] | None, request_id: str) -> bytes:
    document = {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": 0,
        "model": received.body.get("model"),
        "choices": [{"index": 0, "message": _message(mood, received), "finish_reason": mood.finish_reason}],
        "usage": usage,
    }
    return json.dumps(document).encode().replace(RAW.encode(), mood.raw_text or RAW.encode())


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
