"""Defines a handler for the runtime loop that does what its event says."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from functions.stream import Stream

NAME = "tests.support.streaming_handler.handler"
_PIECES = (b"one", b"two")
_LARGE = b"x" * 1_000_000


def handler(event: dict[str, Any], context: Any) -> object:
    do = event["do"]
    if do == "dict":
        return {"pid": os.getpid(), "id": context.aws_request_id, "main": _is_main()}
    if do == "http":
        return event["answer"]
    if do == "raise":
        raise LookupError("before")
    bodies = {"stream": _stream, "raise_late": _raise_late, "large": _large, "main": _main}
    return Stream(200, {"content-type": "text/plain"}, bodies[do](event))


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _stream(event: dict[str, Any]) -> Iterator[bytes]:
    for piece in _PIECES:
        yield piece
        time.sleep(event.get("pause_s", 0))


def _raise_late(event: dict[str, Any]) -> Iterator[bytes]:
    yield b"one"
    raise LookupError("s3cret")


def _large(event: dict[str, Any]) -> Iterator[bytes]:
    for _ in range(20):
        yield _LARGE
    sys.stdout.write("the body was read to its end\n")


def _main(event: dict[str, Any]) -> Iterator[bytes]:
    yield f"{os.getpid()} {_is_main()}".encode()
