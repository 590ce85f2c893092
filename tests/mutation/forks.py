"""A piece of work in a process of its own, which ends with it, and with who asked for it."""

import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from local.process import die_with

Result = TypeVar("Result")


def in_fork(work: Callable[[], Result], limit_s: float) -> Result | None:
    """What `work` returns; None where that takes longer, or where it dies. Raises RuntimeError where `work` raises."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work(work, writer, parent)
    os.close(writer)
    try:
        answer = _read(reader, limit_s)
        result: Result | None = pickle.loads(answer) if answer else None
        return result
    finally:
        os.close(reader)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError("what a process of its own did has failed, as it says above")


def _work(work: Callable[[], object], writer: int, parent: int) -> None:
    failed = 1
    try:
        die_with(parent)
        os.setpgid(0, 0)
        answer = pickle.dumps(work())
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(answer)
        failed = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc(file=sys.__stderr__)
    finally:
        # Nothing of the parent's is to be ended here: its server, its terminal.
        os._exit(failed)


def _read(reader: int, limit_s: float) -> bytes:
    ends, parts = time.monotonic() + limit_s, list[bytes]()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0.0, ends - time.monotonic()) * 1000):
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""
