"""Processes forked from one that has imported everything, so that a new one starts within milliseconds.

None outlives the harness. The process that forks must run no thread.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from local.process import die_with


class Line:
    """The child's end of the pipe. Several of its threads may write to it."""

    def __init__(self, pipe: "Connection") -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, what: object) -> None:
        with self._lock:
            self._pipe.send(what)

    def recv(self) -> Any:
        return self._pipe.recv()


@dataclass
class Forked:
    """A child and this end of its pipe. It ends when the pipe is closed, when it is killed, or with its parent."""

    pid: int
    pipe: "Connection"

    def kill(self) -> None:
        """Send SIGKILL and wait until the child is gone. A second call does nothing."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def reap(self) -> None:
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0
            self.pipe.close()

    def wait_until_stopped(self) -> bool:
        """Wait until the child has stopped itself by SIGSTOP. Returns False if it sends something instead."""
        while not self.pipe.poll(0.002):
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                return True
        return False

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def fork(serve: Callable[["Connection"], None]) -> Forked:
    """Run `serve` with the other end of the pipe in a process of its own."""
    ours, theirs = Pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with(parent)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            ours.close()
            with suppress(EOFError, BrokenPipeError, ConnectionResetError):
                serve(theirs)
        except BaseException:  # noqa: BLE001 the last chance to say what went wrong in a child
            traceback.print_exc()
        finally:
            # No exit hook and no destructor of the parent's objects may run here: they share its sockets.
            os._exit(0)
    theirs.close()
    return Forked(pid, ours)
