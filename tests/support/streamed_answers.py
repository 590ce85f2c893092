"""Lists streams of chat completions as servers send them, each with its complete answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.domain.money import Usage
from shared.llm.port import Completion
from tests.support.fake_provider import Row
from tests.support.fake_provider.streamed import DONE, event

# The parts of a request that ask for a stream, or do not.
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
UNSTREAMED = {"stream": None, "stream_options": None}
COUNT = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
WHOLE = json.dumps({"choices": [{"message": {"content": "fine"}}], "usage": COUNT}).encode()
COUNTED = event({"choices": [], "usage": COUNT})


def asked_for(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{name: row.parameters.get(name) for name in STREAMED} for row in rows]


def delta(finish_reason: str | None = None, index: int = 0, **members: object) -> bytes:
    return event({"choices": [{"index": index, "delta": members, "finish_reason": finish_reason}], "usage": None})


def thought(name: str, text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {name: text, "content": ""}}]})


def said(text: str) -> bytes:
    return delta(content=text)


STOP = delta("stop")


def fine(text: str = "fine", **changes: Any) -> Completion:
    return replace(Completion("succeeded", text, "end_turn", Usage(9, 4)), **changes)


STREAMS: dict[str, tuple[bytes, Completion]] = {
    "words": (said("fi") + said("ne") + STOP + COUNTED + DONE, fine()),
    "characters of four bytes": (said("Grü\u2028ße 👋") + STOP + COUNTED + DONE, fine("Grü\u2028ße 👋")),
    "characters that are not escaped": (
        'data: {"choices":[{"delta":{"content":"ß👋"}}]}\n\n'.encode() + STOP + COUNTED + DONE,
        fine("ß👋"),
    ),
    "a character in two deltas": (said("a\ud83d") + said("\udc4bb") + STOP + COUNTED + DONE, fine("a👋b")),
    "half a character at the end": (said("a\ud83d") + STOP + COUNTED + DONE, fine("a\ufffd")),
    "half a character before another one": (
        said("\ud83d") + said("") + said("\ud83d\udc4b\udc4b") + STOP + COUNTED + DONE,
        fine("\ufffd👋\ufffd"),
    ),
    "a NUL": (said("a\x00") + said("b") + STOP + COUNTED + DONE, fine("a\ufffdb")),
    "bytes that are not UTF-8": (
        b'data: {"choices":[{"delta":{"content":"a\xe9\xffb"}}]}\n\n' + STOP + COUNTED + DONE,
        fine("a\ufffd\ufffdb"),
    ),
    "carriage returns": ((said("fi") + said("ne") + STOP + COUNTED + DONE).replace(b"\n", b"\r\n"), fine()),
    "only carriage returns": ((said("fi") + said("ne") + STOP + COUNTED + DONE).replace(b"\n", b"\r"), fine()),
    "no blank lines": ((said("fi") + said("ne") + STOP + COUNTED + DONE).replace(b"\n\n", b"\n"), fine()),
    "no end of the last line": (said("fine") + STOP + COUNTED.rstrip(), fine()),
    "no space": ((said("fine") + STOP + COUNTED + DONE).replace(b"data: ", b"data:"), fine()),
    "comments and other fields": (
        b"\xef\xbb\xbf\n: OPENROUTER PROCESSING\n\nid: 1\nretry: 10\nevent: message\n"
        + said("fine")
        + b": keep-alive\n\nevent: ping\ndata: now\n\ndata:\n\n"
        + STOP
        + b"data: 7\n\ndata: null\n\ndata: []\n\n"
        + COUNTED
        + DONE,
        fine(),
    ),
    "an event over several lines": (
        b'data: {"choices":\ndata: [{"delta": {"content":\rdata:  "fine"}}]\r\ndata: }\n\n' + STOP + COUNTED + DONE,
        fine(),
    ),
    "the count on every chunk": (
        event({"choices": [{"delta": {"content": "fine"}}], "usage": COUNT | {"total_tokens": 9}})
        + event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": COUNT})
        + DONE,
        fine(),
    ),
    "the count on the first chunk": (COUNTED + said("fine") + STOP + DONE, fine()),
    "the count within the choice": (
        said("fine") + event({"choices": [{"delta": {}, "finish_reason": "stop", "usage": COUNT}]}) + DONE,
        fine(),
    ),
    "an empty count behind the real one": (said("fine") + STOP + COUNTED + event({"usage": {}}) + DONE, fine()),
    "no choices, and null": (
        event({"choices": []}) + event({"choices": None}) + event({}) + said("fine") + STOP + COUNTED + DONE,
        fine(),
    ),
    "null deltas": (
        event({"choices": [{"index": 0, "delta": None}, None]})
        + event({"choices": [{"index": 0}]})
        + delta(content=None, role="assistant", tool_calls=None)
        + said("fine")
        + STOP
        + COUNTED
        + DONE,
        fine(),
    ),
    "parts": (
        delta(content=[{"type": "text", "text": "fi"}, {"type": "image"}])
        + delta(content={"type": "text", "text": "ne"})
        + STOP
        + COUNTED
        + DONE,
        fine(),
    ),
    "no DONE": (said("fine") + STOP + COUNTED, fine()),
    "no finish reason": (said("fine") + COUNTED + DONE, fine(stop_reason=None)),
    "an empty finish reason": (delta("", content="fine") + STOP + delta("") + COUNTED + DONE, fine()),
    "a cut": (said("fine") + delta("length") + COUNTED + DONE, fine(stop_reason="max_tokens")),
    "several choices": (
        said("fi") + delta("length", 1, content="bad") + said("ne") + STOP + COUNTED + DONE,
        fine(),
    ),
    "several choices in a chunk": (
        event({"choices": [{"index": 0, "delta": {"content": "fine"}}, {"index": 1, "delta": {"content": "bad"}}]})
        + event({"choices": [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "stop"}]})
        + COUNTED
        + DONE,
        fine(),
    ),
    "calls of tools": (delta(tool_calls=[{"index": 0}]) + said("fine") + STOP + COUNTED + DONE, fine()),
    "a whole message": (
        event({"choices": [{"message": {"role": "assistant", "content": "fine"}}], "usage": COUNT}) + DONE,
        fine(stop_reason=None),
    ),
    "a message so far beside each delta": (
        event({"choices": [{"delta": {"content": "fi"}, "message": {"content": "fi"}}]})
        + event({"choices": [{"delta": {"content": "ne"}, "message": {"content": "fine"}}]})
        + STOP
        + COUNTED
        + DONE,
        fine(),
    ),
    "a message that takes back": (
        said("fine") + event({"choices": [{"message": {"content": "other"}}]}) + STOP + COUNTED + DONE,
        fine(),
    ),
    "a message at the end": (
        said("fi") + event({"choices": [{"message": {"content": "fine"}}]}) + COUNTED + DONE,
        fine(stop_reason=None),
    ),
    "a refusal": (
        delta(content=None, refusal="I ") + delta(refusal="will not.") + STOP + COUNTED + DONE,
        fine("", stop_reason="content_filtered"),
    ),
    "a refusal in parts": (
        delta(content=[{"type": "refusal", "refusal": "No."}]) + STOP + COUNTED + DONE,
        fine("", stop_reason="content_filtered"),
    ),
    "a filter": (said("fi") + delta("content_filter") + COUNTED + DONE, fine("fi", stop_reason="content_filtered")),
    "an error that is counted": (
        said("Half") + event({"error": {"code": 502, "message": "up"}}) + COUNTED,
        fine("Half", stop_reason=None, error="provider_error"),
    ),
    "an error that is a finish reason": (
        said("Half") + delta("error") + COUNTED + DONE,
        fine("Half", stop_reason="error", error="provider_error"),
    ),
    "an error within the choice": (
        said("Half") + event({"choices": [{"error": {"code": 502}, "finish_reason": "error"}], "usage": COUNT}),
        fine("Half", stop_reason="error", error="provider_error"),
    ),
    **{
        f"thinking as {name}": (
            thought(name, "Let ") + thought(name, "me\ud83d") + thought(name, "\udc4b")
            + said("fine") + STOP + COUNTED + DONE,
            fine(thinking="Let me👋"),
        )
        for name in ("reasoning_content", "reasoning", "thinking")
    },
    "thinking under two names": (
        delta(reasoning="Hm", reasoning_details=[{"type": "reasoning.text", "text": "Hm"}])
        + delta(reasoning=".", reasoning_details=[{"type": "reasoning.text", "text": "."}])
        + delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}])
        + said("fine") + STOP + COUNTED + DONE,
        fine(thinking="Hm."),
    ),
    "thinking in parts": (
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}])
        + delta(content=[{"type": "thinking", "thinking": "."}, {"type": "text", "text": "fi"}])
        + said("ne") + STOP + COUNTED + DONE,
        fine(thinking="Hm."),
    ),
    "thinking that used up the cap": (
        delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]) + delta("length") + COUNTED + DONE,
        fine("", stop_reason="max_tokens", error="thinking_only"),
    ),
    "no stream": (WHOLE, fine(stop_reason=None)),
    "no stream, and DONE": (b"\n" + WHOLE + b"\n\n" + DONE, fine(stop_reason=None)),
}  # fmt: skip


MALFORMED = Completion("unknown", error="malformed_response")
# Each of them is unknown.
BROKEN: dict[str, bytes] = {
    "no count": said("fine") + STOP + DONE,
    "zeros": said("fine") + STOP + event({"choices": [], "usage": dict.fromkeys(COUNT, 0)}) + DONE,
    "a contradiction": said("fine") + STOP + event({"choices": [], "usage": COUNT | {"total_tokens": 99}}) + DONE,
    "no end": said("fine") + COUNTED,
    "no end before the first word": COUNTED,
    "no end of an event": said("fine") + STOP + COUNTED[:-9],
    "no JSON": said("fine") + b"data: {\n\n" + STOP + COUNTED + DONE,
    "text for an event": said("fine") + b"data: wait\n\n" + STOP + COUNTED + DONE,
    "an error without a count": said("fine") + event({"error": {"code": 502}}),
    "an error by its name": said("fine") + b"event: error\ndata: {}\n\n",
    "nothing": b"",
    "only DONE": DONE,
    "a page": b"<!doctype html><title>data: Welcome</title>",
    "objects too deep": said("fine") + b'data: {"choices":' + b"[" * 200_000 + b"\n\n" + STOP + COUNTED + DONE,
}
