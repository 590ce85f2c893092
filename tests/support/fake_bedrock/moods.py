"""Defines the moods that only Bedrock has; the rest is in `tests.support.fake_provider.moods`."""

import json

from tests.support.fake_provider.moods import Delivery, Mood

# As Bedrock names them: what follows the colon is for its own use.
_NAMESPACE = "http://internal.amazon.com/coral/com.amazon.bedrock/"


def exception(name: str, code: int) -> Mood:
    headers = {"x-amzn-ErrorType": f"{name}:{_NAMESPACE}"}
    return Mood(status=code, headers=headers, body=json.dumps({"message": "No."}).encode())


def streamed(*frames: bytes, stepped: bool = False, delivery: Delivery = "whole") -> Mood:
    """A stream of these frames. The rest is as in `tests.support.fake_provider.moods.streamed`."""
    headers = {"Content-Type": "application/vnd.amazon.eventstream"}
    return Mood(headers=headers, pieces=frames, stepped=stepped, delivery=delivery)


def thinking(text: str) -> Mood:
    """Answer with thinking before the text, and a block of an unknown kind after it."""
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2lnbmVk"}}}
    tool = {"toolUse": {"toolUseId": "1", "name": "text", "input": {}}}
    return Mood({"role": "assistant", "content": [thought, {"text": text}, tool]})
