"""Defines handlers that stream. They run in the pool's processes and write files for the test."""

import os
import time
from collections.abc import Iterator
from typing import Any

from functions import chunks
from functions.stream import Stream
from tests.support.stack.gateway_handlers import mark, wait_for

PIECE = bytes(range(256)) * 256


def by_session(event: Any, context: Any) -> Any:
    """Do what the session's name says. On a route without one, stream a greeting."""
    action = (event["pathParameters"] or {}).get("session_id", "greet")
    return ACTIONS[action](event)


def _stream(body: Iterator[bytes], status: int = 200) -> Stream:
    headers = {"Content-Type": "text/plain", "Content-Length": "1", "x-pid": str(os.getpid()), "Date": "now"}
    return Stream(status, headers, body, ("a=1", "b=2"))


def greet(event: Any) -> Stream:
    return _stream(iter((b"hello ", b"", b"world")))


def steps(event: Any) -> Stream:
    """Send a number, wait to be told to go on, and send the next one."""

    def body() -> Iterator[bytes]:
        for number in range(3):
            yield b"%d" % number
            wait_for(1, f"go-{number}")
        mark("finished")

    return _stream(body())


def moments(event: Any) -> Stream:
    """Send the present time of the monotonic clock, in nanoseconds, again and again."""

    def body() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.005)
            yield b"%d\n" % time.monotonic_ns()

    return _stream(body())


def flood(event: Any) -> Stream:
    """Send many pieces of 64 KiB, and tell how many are written."""

    def body() -> Iterator[bytes]:
        for number in range(int(event["body"])):
            yield PIECE
            mark("written", str(number + 1))
        mark("finished")

    return _stream(body())


def impatient(event: Any) -> Stream:
    """Flood a reader that may not stop for long."""

    def body() -> Iterator[bytes]:
        try:
            yield from flood(event).body
        finally:
            vars(chunks)["STALL_S"] = usual

    usual, vars(chunks)["STALL_S"] = chunks.STALL_S, 0.3
    return _stream(body())


def hang(event: Any) -> Stream:
    def body() -> Iterator[bytes]:
        yield b"begun"
        mark("hanging", str(os.getpid()))
        time.sleep(60)

    return _stream(body())


def fail(event: Any) -> Stream:
    def body() -> Iterator[bytes]:
        yield b"begun"
        raise ValueError("the handler's own secret")

    return _stream(body())


def fail_first(event: Any) -> Stream:
    raise ValueError("the handler's own secret")


def nonsense(event: Any) -> Stream:
    return _stream(iter((b"body",)), status=99)


def empty(event: Any) -> Stream:
    return _stream(iter((b"body",)), status=204)


def unspeakable(event: Any) -> Stream:
    """Headers that are no JSON."""
    return Stream(200, {"x": {1}}, iter((b"body",)))  # type: ignore[dict-item]


def buffered(event: Any) -> Any:
    return {"statusCode": 200, "headers": {"x-pid": str(os.getpid())}, "body": event["body"]}


ACTIONS = {
    **{"greet": greet, "steps": steps, "moments": moments, "flood": flood, "impatient": impatient, "hang": hang},
    **{"fail": fail, "fail_first": fail_first, "nonsense": nonsense, "empty": empty, "unspeakable": unspeakable},
    "buffered": buffered,
}
