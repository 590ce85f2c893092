"""The process side of the pool: a template that imports one handler, and the workers that it forks.

The rule this file protects: a worker serves one invocation at a time, and nothing here outlives the gateway.
Forking a process that has imported everything stands in for SnapStart: a new worker costs milliseconds. The
template imports and never calls, so nothing is connected, and no thread runs, when it forks.

Little more than the standard library, so that the handler finds the process as its own imports made it.
Run as `python -m local.gateway.worker FD PARENT_PID MODULES FUNCTION_NAME MODULE:ATTRIBUTE`. MODULES, with commas, are
those that the handler imports while it works. Imported before a fork, their memory is shared.
"""

import asyncio
import ctypes
import gc
import importlib
import io
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from functions import chunks
from functions.stream import Stream
from local.gateway.runtime_client import RuntimeClient

Handler = Callable[[Any, "LambdaContext"], Any]

# Between gateway and template: an operation, a process id, and for a new worker its address of the Runtime API. The
# answer has the same form.
CONTROL: Final = struct.Struct("!cq64s")
READY: Final = b"r"  # the template's first word, once the handler is imported
FORK: Final = b"f"
KILL: Final = b"k"  # answered when the process is gone and reaped

# Lambda's limit for what a function is given, and for what it returns, in bytes.
MAX_PAYLOAD: Final = 6 * 1024 * 1024 + 100

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """The second argument of a handler. `deadline` is on the monotonic clock, in seconds."""

    function_name: str
    aws_request_id: str
    deadline: float
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "1024"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:local:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def run_template(control: socket.socket, name: str, handler: Handler) -> None:
    """Fork and kill workers as the gateway says, until it is gone. Then no worker is left."""
    workers: set[int] = set()
    try:
        control.sendall(CONTROL.pack(READY, os.getpid(), b""))
        while message := control.recv(CONTROL.size):
            operation, pid, address = CONTROL.unpack(message)
            if operation == FORK:
                pid = _fork(control, address.rstrip(b"\0").decode(), name, handler)
                workers.add(pid)
            elif pid in workers:
                _kill(pid)
                workers.remove(pid)
            control.sendall(CONTROL.pack(operation, pid, b""))
    except ConnectionError:
        return
    finally:
        for pid in workers:
            _kill(pid)


def _fork(control: socket.socket, address: str, name: str, handler: Handler) -> int:
    template = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _die_with(template)
            control.close()
            # Made before the fork, an event loop would be one for all workers: they would take each other's wake-ups.
            asyncio.set_event_loop(asyncio.new_event_loop())
            with RuntimeClient(address) as runtime:
                _serve(runtime, name, handler)
        except ConnectionError:
            pass
        finally:
            # Lambda ends a process without its exit hooks, and the template's own are not ours to run.
            os._exit(0)
    return pid


def _kill(pid: int) -> None:
    # Only the template reaps, so the number cannot have passed to a stranger.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _serve(runtime: RuntimeClient, name: str, handler: Handler) -> None:
    """Answer one invocation after the other, until the gateway closes the connection."""
    while True:
        invocation = runtime.next()
        try:
            context = LambdaContext(name, invocation.id, invocation.deadline)
            answer = handler(json.loads(invocation.event), context)
            if isinstance(answer, Stream):
                chunks.send(answer, runtime.address, invocation.id)
                continue
            payload = json.dumps(answer).encode()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer, and the process lives on
            traceback.print_exc()
            runtime.fail(invocation.id, error)
        else:
            runtime.answer(invocation.id, payload)


def _die_with(parent: int) -> None:
    """End this process when `parent` ends. Where there is no such signal, the closed connection does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _main(descriptor: int, parent: int, later: list[str], name: str, target: str) -> NoReturn:
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line is one write: those of several workers do not mix, and a kill loses none that is complete.
        sys.stdout.reconfigure(line_buffering=True)
    module, _, attribute = target.partition(":")
    with socket.socket(fileno=descriptor) as control:
        handler = getattr(importlib.import_module(module), attribute)
        for each in later:
            importlib.import_module(each)
        # What the template has made is never collected, so that the workers go on sharing its pages.
        gc.freeze()
        run_template(control, name, handler)
    sys.exit(0)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",") if sys.argv[3] else [], sys.argv[4], sys.argv[5])
