"""Turns a mood into a Converse response, with the same text and count for the same request."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.support.fake_bedrock.frames import frames_of
from tests.support.fake_bedrock.received import Received
from tests.support.fake_provider import answer
from tests.support.fake_provider.answer import Answer
from tests.support.fake_provider.moods import RAW, Mood

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "content_filtered"}
EVENT_STREAM = "application/vnd.amazon.eventstream"
_CUT_OFF = ("cut_short", "trickle_body")
_CLASSES = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheWriteInputTokens",
}


def make_answer(mood: Mood, received: Received, request_id: str) -> Answer:
    headers = {"x-amzn-RequestId": request_id, **mood.headers}
    if mood.body is not None or mood.pieces is not None:
        return answer.make_answer(replace(mood, headers=headers), received, request_id)
    message = _message(mood, received)
    usage = mood.usage or _count(message, received)
    document = {
        "output": {"message": message},
        "stopReason": _STOP_REASONS.get(mood.finish_reason, mood.finish_reason),
        "usage": usage,
        "metrics": {"latencyMs": 1},
    }
    if received.is_stream:
        frames = frames_of(document, mood.raw_text, RAW.encode())
        written = replace(mood, headers={"Content-Type": EVENT_STREAM, **headers}, pieces=frames)
    else:
        body = json.dumps(document).encode().replace(RAW.encode(), mood.raw_text or RAW.encode())
        written = replace(mood, headers=headers, body=body)
    made = answer.make_answer(written, received, request_id)
    seen = made.status is not None and mood.delivery not in _CUT_OFF
    charged = _charge(usage, _count(message, received)) if made.charged is not None else None
    return replace(made, usage=usage if seen else None, charged=charged)


def _charge(usage: Mapping[str, Any], counted: Mapping[str, int]) -> dict[str, int]:
    """Return the charge by class. A count of another type in the answer is not charged."""
    told = {ours: usage.get(theirs, counted.get(theirs)) for ours, theirs in _CLASSES.items()}
    return {
        ours: count if type(count) is int and count >= 0 else counted.get(_CLASSES[ours], 0)
        for ours, count in told.items()
    }


def _message(mood: Mood, received: Received) -> Mapping[str, Any]:
    """The mood's message, whose content may be blocks already; without one, an echo."""
    heard = received.text_of("user").removesuffix("\n</quoted>").rpartition("\n")[2]
    said = mood.message["content"] if mood.message else f"You said: {heard[:200]}"
    return {"role": "assistant", "content": [{"text": said}] if isinstance(said, str) else said}


def _count(message: Mapping[str, Any], received: Received) -> dict[str, int]:
    """A word is a token, so that a count can be checked by eye."""
    heard = sum(len(message["content"].split()) for message in received.messages)
    said = sum(len(block.get("text", "").split()) for block in message["content"])
    return {"inputTokens": heard, "outputTokens": said, "totalTokens": heard + said}
