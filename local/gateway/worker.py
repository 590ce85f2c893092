"""Import one handler in a template process, and fork the workers that run it.

A worker serves one invocation at a time. No process outlives the gateway. The fork replaces SnapStart: a new worker
takes milliseconds. The template only imports, so it has no connections and no threads when it forks.

The module imports little more than the standard library, so that the handler's own imports decide its process.
Run as `python -m local.gateway.worker FD PARENT_PID MODULES FUNCTION_NAME MODULE:ATTRIBUTE`. MODULES, with commas, are
imports that the handler makes while it works. The template imports them first, so that workers share their memory.
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

# A message between gateway and template: an operation, a process id, and a new worker's address of the Runtime API.
# The answer has the same form.
CONTROL: Final = struct.Struct("!cq64s")
READY: Final = b"r"  # the template's first message, after its imports
FORK: Final = b"f"
KILL: Final = b"k"  # answered when the process is gone and reaped

# Lambda's limit for a function's event and for its result, in bytes.
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
    """Fork and kill workers on the gateway's request. Kill them all when the gateway ends."""
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
            # Workers that share an event loop from before the fork would take each other's wake-ups.
            asyncio.set_event_loop(asyncio.new_event_loop())
            with RuntimeClient(address) as runtime:
                _serve(runtime, name, handler)
        except ConnectionError:
            pass
        finally:
            # Lambda runs no exit hooks, and a worker must not run those of the template.
            os._exit(0)
    return pid


def _kill(pid: int) -> None:
    # Only the template reaps, so no other process can have this id.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _serve(runtime: RuntimeClient, name: str, handler: Handler) -> None:
    """Answer invocations one by one, until the gateway closes the connection."""
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
    """End this process when `parent` ends. Outside Linux, the closed connection ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _main(descriptor: int, parent: int, later: list[str], name: str, target: str) -> NoReturn:
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # One write a line, so that lines of workers do not mix, and a kill loses no complete line.
        sys.stdout.reconfigure(line_buffering=True)
    module, _, attribute = target.partition(":")
    with socket.socket(fileno=descriptor) as control:
        handler = getattr(importlib.import_module(module), attribute)
        for each in later:
            importlib.import_module(each)
        # The garbage collector skips the template's objects, so that workers keep sharing their pages.
        gc.freeze()
        run_template(control, name, handler)
    sys.exit(0)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",") if sys.argv[3] else [], sys.argv[4], sys.argv[5])
