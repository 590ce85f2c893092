"""Functions run as Lambda runs them: an invocation has a process to itself, and dies when its time is up.

The rule this file protects: a process is given back only after it has answered. Whatever else happened to
it, it is killed, so that no invocation ever meets the remains of another.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self
from uuid import uuid4

from local.gateway.template import FunctionStartError, Template, Worker, encode_request
from local.gateway.worker import MAX_PAYLOAD

MAX_WORKERS: Final = 32
QUEUE_S: Final = 10.0

Status = Literal[
    "succeeded",  # the payload is what the handler returned
    "failed",  # the handler raised, or returned what Lambda does not pass on; the payload is its error
    "timed_out",  # killed at the function's timeout
    "died",  # the process ended in mid-invocation, or none could be made
    "throttled",  # every process was busy for as long as a caller waits
    "too_large",  # the event is over Lambda's limit
]


@dataclass(frozen=True, slots=True)
class Function:
    """`handler` is "module:attribute". `timeout_s` is what one invocation may take, in seconds. `environ` is what this
    function alone is told."""

    name: str
    handler: str
    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class InvocationResult:
    status: Status
    payload: Any = None


class Pool:
    """An async context manager. Inside it, every function is warm."""

    def __init__(
        self,
        functions: Iterable[Function],
        environ: Mapping[str, str],
        log_dir: Path,
        *,
        max_workers: int = MAX_WORKERS,
        queue_s: float = QUEUE_S,
    ) -> None:
        """`environ` is what every function is told, beside its own part. Each logs to `<name>.log` in `log_dir`.
        `queue_s` is how long a caller waits, in seconds, while all `max_workers` processes of its function
        are busy."""
        self._functions = tuple(functions)
        self._environ = environ
        self._log_dir = log_dir
        self.max_workers: Final = max_workers
        self._queue_s = queue_s
        self._resources = AsyncExitStack()
        self._running: dict[str, _RunningFunction] = {}

    async def __aenter__(self) -> Self:
        """Raises FunctionStartError when a handler cannot be imported."""
        starting = [self._start(function) for function in self._functions]
        outcomes = await asyncio.gather(*starting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self._resources.aclose()
                raise outcome
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def invoke(self, name: str, event: object) -> InvocationResult:
        """Run the function `name` once. Raises KeyError for a function that the pool does not have."""
        return await self._running[name].invoke(event)

    async def _start(self, function: Function) -> None:
        log = self._log_dir / f"{function.name}.log"
        environ = {**self._environ, **function.environ}
        template = await Template.start(function.name, function.handler, environ, log)
        running = _RunningFunction(function, template, log, self.max_workers, self._queue_s)
        self._running[function.name] = running
        self._resources.push_async_callback(running.close)


class _RunningFunction:
    def __init__(self, function: Function, template: Template, log: Path, max_workers: int, queue_s: float) -> None:
        self._function = function
        self._template = template
        self._log = log
        self._slots = asyncio.Semaphore(max_workers)
        self._queue_s = queue_s
        self._idle: list[Worker] = []

    async def invoke(self, event: object) -> InvocationResult:
        request_id = str(uuid4())
        request = encode_request(event, request_id, self._function.timeout_s)
        if len(request) > MAX_PAYLOAD:
            return InvocationResult("too_large")
        try:
            async with asyncio.timeout(self._queue_s):
                await self._slots.acquire()
        except TimeoutError:
            return InvocationResult("throttled")
        started = time.monotonic()
        try:
            result = await self._run(request)
        finally:
            self._slots.release()
        if result.status in ("timed_out", "died"):
            self._report(request_id, result.status, time.monotonic() - started)
        return result

    async def close(self) -> None:
        for worker in self._idle:
            worker.writer.close()
        await self._template.close()

    async def _run(self, request: bytes) -> InvocationResult:
        try:
            worker = await self._take()
        except (FunctionStartError, EOFError, OSError):
            return InvocationResult("died")
        answered = False
        try:
            async with asyncio.timeout(self._function.timeout_s):
                succeeded, payload = await worker.call(request)
            answered = True
        except TimeoutError:
            return InvocationResult("timed_out")
        except (EOFError, ConnectionError):
            return InvocationResult("died")
        finally:
            if answered:
                self._idle.append(worker)
            else:
                await self._template.end(worker)
        return InvocationResult("succeeded" if succeeded else "failed", json.loads(payload))

    async def _take(self) -> Worker:
        """The worker that was busy last, so that the others stay cold; a new one when none is idle."""
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await self._template.end(worker)
        return await self._template.fork()

    def _report(self, request_id: str, status: Status, seconds: float) -> None:
        """What the function could not write itself, in the shape of Lambda's own log lines."""
        record = {
            "requestId": request_id,
            "status": status,
            "metrics": {"durationMs": round(seconds * 1000, 3)},
        }
        line = {"time": datetime.now(UTC).isoformat(), "type": "platform.report", "record": record}
        with self._log.open("a") as log:
            log.write(json.dumps(line) + "\n")
