"""Defines the moods of the server: its ways to treat a request.

Each function makes one mood. Over HTTP, `{"mood": "status", "code": 500}` calls the function of that name
with the other members as arguments.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Delivery = Literal[
    "whole",
    "hold",
    "slow",
    "then_close",
    "cut_short",
    "trickle_body",
    "trickle_headers",
    "reset",
    "close",
    "stay_open",
]
RAW = "<raw>"


@dataclass(frozen=True, slots=True)
class Received:
    """A request for a completion, as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = self.body.get("messages", [])
        return messages

    def text_of(self, role: str) -> str:
        """Return the messages of this role, one a line. The system prompt tells agents apart."""
        return "\n".join(message["content"] for message in self.messages if message["role"] == role)


@dataclass(frozen=True, slots=True)
class Mood:
    """`body` replaces the completion that is otherwise made of the fields above it. `pieces` are the body of a stream,
    whether one was asked for or not. Where it is `stepped`, each piece of a stream waits for the server's `step()`;
    with `pause_s`, it waits for that number of seconds."""

    message: Mapping[str, Any] | None = None  # None: an echo
    finish_reason: str = "stop"
    usage: Mapping[str, Any] | None = None  # None: words are counted
    raw_text: bytes | None = None  # goes into the JSON string as it is
    body: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    seconds: float = 0.0
    pieces: Sequence[bytes] | None = None
    stepped: bool = False
    pause_s: float = 0.0


def ok(
    text: str | None = None,
    message: Mapping[str, Any] | None = None,
    usage: Mapping[str, Any] | None = None,
    finish_reason: str = "stop",
) -> Mood:
    """`text`, or a whole `message`; without either, an echo of the last user message."""
    message = message if text is None else _says(text)
    return Mood(message, finish_reason, usage)


def ok_then_close(text: str = "Goodbye.") -> Mood:
    """Send a good answer, and close the connection without a header that says so."""
    return Mood(_says(text), delivery="then_close")


def status(code: int, retry_after: str | float | None = None, headers: Mapping[str, str] | None = None) -> Mood:
    extra = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = json.dumps({"error": {"message": "No.", "type": "test"}}).encode()
    return Mood(status=code, headers=extra | dict(headers or {}), body=body)


def too_long(message: str = "This model's maximum context length is 8192 tokens.", status: int = 400) -> Mood:
    """A refusal that says that the prompt does not fit."""
    error = {"message": message, "type": "invalid_request_error", "code": None}
    return Mood(status=status, body=json.dumps({"error": error, "message": message}).encode())


def empty() -> Mood:
    return Mood(_says(""))


def invalid_utf8() -> Mood:
    return Mood(_says(RAW), raw_text=b"caf\xe9 \xff\xfe!")


def nul() -> Mood:
    """As JSON wants it, in an escape."""
    return Mood(_says("before\x00after"))


def raw_nul() -> Mood:
    """As JSON forbids it, in a bare byte."""
    return Mood(_says(RAW), raw_text=b"before\x00after")


def lone_surrogate() -> Mood:
    return Mood(_says("before\ud83dafter"))


def length(text: str = "This sentence was cut in the") -> Mood:
    return Mood(_says(text), finish_reason="length")


def content_filter(text: str = "") -> Mood:
    return Mood(_says(text), finish_reason="content_filter")


def refusal(text: str = "I will not say that.") -> Mood:
    return Mood({"role": "assistant", "content": None, "refusal": text})


def no_usage(text: str = "Nobody counted this.") -> Mood:
    return raw({"choices": [{"index": 0, "message": _says(text), "finish_reason": "stop"}]})


def raw(document: object) -> Mood:
    """A 200 with this JSON and nothing added."""
    return Mood(body=json.dumps(document).encode())


def html_200() -> Mood:
    page = b"<!doctype html><title>Welcome</title><p>A proxy greets you."
    return Mood(body=page, headers={"Content-Type": "text/html"})


def huge(size: int = 9 * 1024 * 1024) -> Mood:
    """A well-formed answer whose text has `size` bytes."""
    return Mood(_says("x" * size))


def streamed(
    *pieces: str | bytes,
    stepped: bool = False,
    delivery: Delivery = "whole",
    usage: Mapping[str, Any] | None = None,
    pause_s: float = 0.0,
) -> Mood:
    """A stream of these pieces. With `cut_short`, they are all, and the body does not end; with `stay_open`, the
    connection stays open as well. `usage` is the count that they hold, for the log."""
    told = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    headers = {"Content-Type": "text/event-stream"}
    return Mood(headers=headers, pieces=told, stepped=stepped, delivery=delivery, usage=usage, pause_s=pause_s)


def stepped(text: str) -> Mood:
    """A good answer. If it is streamed, each word waits for the server's `step()`."""
    return Mood(_says(text), stepped=True)


def paced(text: str, pause_s: float) -> Mood:
    """A good answer. If it is streamed, each word comes after a pause."""
    return Mood(_says(text), pause_s=pause_s)


def slow(seconds: float) -> Mood:
    return Mood(delivery="slow", seconds=seconds)


def hold() -> Mood:
    """An echo, but not before the server's `release()`."""
    return Mood(delivery="hold")


def trickle_body(seconds: float = 0.05) -> Mood:
    """Send all headers at once, and then a byte every `seconds`, without an end."""
    return Mood(delivery="trickle_body", seconds=seconds)


def trickle_headers(seconds: float = 0.05) -> Mood:
    return Mood(delivery="trickle_headers", seconds=seconds)


def cut_short() -> Mood:
    """Half of an answer, and then the end of the connection."""
    return Mood(delivery="cut_short")


def reset_before_answer() -> Mood:
    return Mood(delivery="reset")


def close_without_answer() -> Mood:
    return Mood(delivery="close")


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
