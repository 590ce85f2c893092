"""Run work in a process of its own that ends with its parent."""

import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from tests.faults.forked import fork

Result = TypeVar("Result")


def in_fork(work: Callable[[], Result], limit_s: float) -> Result | None:
    """Return what `work` returns, or None if it dies or takes longer. Raises RuntimeError if it raises."""

    def serve(pipe: "Connection") -> None:
        os.setpgid(0, 0)
        try:
            pipe.send((work(), None))
        except Exception:  # noqa: BLE001 - the parent raises it
            pipe.send((None, traceback.format_exc()))

    forked = fork(serve)
    pid = forked.pid
    try:
        result, error = forked.pipe.recv() if forked.pipe.poll(limit_s) else (None, None)
    except EOFError:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        forked.reap()
    if error:
        raise RuntimeError(error)
    answer: Result | None = result
    return answer
