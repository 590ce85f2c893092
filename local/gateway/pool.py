"""Functions run as Lambda runs them: an invocation has a process to itself, and dies when its time is up.

The rule this file protects: a process is given back only once it is done with its invocation. Whatever else happened
to it, it is killed, so that no invocation ever meets the remains of another.
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

from local.gateway.runtime_api import RuntimeApi
from local.gateway.session import Buffered, Invocation, Streamed
from local.gateway.streaming import Streaming
from local.gateway.template import FunctionStartError, Template, Worker
from local.gateway.worker import MAX_PAYLOAD

MAX_WORKERS: Final = 32
QUEUE_S: Final = 10.0
# So many idle processes may turn out to be dead before one gets the invocation.
_MOST_TRIES: Final = 3

Status = Literal[
    "succeeded",  # the payload is what the handler returned
    "failed",  # the handler raised, or returned what Lambda does not pass on; the payload is its error
    "timed_out",  # killed at the function's timeout
    "died",  # the process ended in mid-invocation, broke the protocol, or could not be made
    "throttled",  # every process was busy for as long as a caller waits
    "too_large",  # the event is over Lambda's limit
]


@dataclass(frozen=True, slots=True)
class Function:
    """`handler` is "module:attribute". `timeout_s` is what one invocation may take, in seconds. `environ` is what this
    function alone is told. `python` is the interpreter with its libraries, if it is not the gateway's own."""

    name: str
    handler: str
    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """`stream` is a response that the process still writes."""

    status: Status
    payload: Any = None
    stream: Streaming | None = None


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
        self._api = RuntimeApi()
        self._resources = AsyncExitStack()
        self._running: dict[str, _RunningFunction] = {}

    async def __aenter__(self) -> Self:
        """Raises FunctionStartError when a handler cannot be imported."""
        await self._resources.enter_async_context(self._api)
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
        """Run the function `name` once, for a buffered response: a streamed one is a failure. Raises KeyError for a
        function that the pool does not have."""
        result = await self.open(name, event)
        if result.stream is None:
            return result
        result.stream.abandon()
        return InvocationResult("failed")

    async def open(self, name: str, event: object) -> InvocationResult:
        """Run the function `name` once, for a response of either kind. A stream must be read or abandoned."""
        return await self._running[name].open(event)

    async def _start(self, function: Function) -> None:
        log = self._log_dir / f"{function.name}.log"
        environ = {**self._environ, **function.environ}
        template = await Template.start(
            function.name, function.handler, environ, log, self._api, python=function.python
        )
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
        self._attending: set[asyncio.Task[None]] = set()

    async def open(self, event: object) -> InvocationResult:
        payload = json.dumps(event).encode()
        if len(payload) > MAX_PAYLOAD:
            return InvocationResult("too_large")
        answer: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        attending = asyncio.create_task(self._attend(payload, answer))
        self._attending.add(attending)
        attending.add_done_callback(self._attending.discard)
        try:
            return await answer
        except asyncio.CancelledError:
            attending.cancel()
            # The process is gone before its caller hears of that.
            await asyncio.wait([attending])
            raise

    async def close(self) -> None:
        for attending in self._attending:
            attending.cancel()
        await asyncio.gather(*self._attending, return_exceptions=True)
        await self._template.close()

    async def _attend(self, payload: bytes, answer: "asyncio.Future[InvocationResult]") -> None:
        """See an invocation through: wait for a slot, and look after its process until that is done."""
        try:
            async with asyncio.timeout(self._queue_s):
                await self._slots.acquire()
        except TimeoutError:
            _settle(answer, InvocationResult("throttled"))
            return
        request_id, started = str(uuid4()), time.monotonic()
        try:
            result = await self._run(request_id, payload, answer)
            if result.status in ("timed_out", "died"):
                self._report(request_id, result.status, time.monotonic() - started)
            _settle(answer, result)
        finally:
            self._slots.release()
            # Whatever happened, somebody waits.
            _settle(answer, InvocationResult("died"))

    async def _run(
        self, request_id: str, payload: bytes, answer: "asyncio.Future[InvocationResult]"
    ) -> InvocationResult:
        for _ in range(_MOST_TRIES):
            try:
                worker = await self._take()
            except (FunctionStartError, EOFError, OSError):
                break
            invocation = worker.session.begin(request_id, payload, self._function.timeout_s)
            result = await self._wait(worker, invocation, answer)
            # A process that died while it was idle has not seen the invocation.
            if result.status != "died" or invocation.was_delivered:
                return result
        return InvocationResult("died")

    async def _wait(
        self, worker: Worker, invocation: Invocation, answer: "asyncio.Future[InvocationResult]"
    ) -> InvocationResult:
        """Wait until the process is done. Then it is given back. Otherwise it is gone."""
        is_sound = False
        try:
            async with asyncio.timeout(self._function.timeout_s):
                answered = await invocation.answered
                if isinstance(answered, Streamed):
                    _settle(answer, _streaming(answered))
                    is_sound = await invocation.over
                else:
                    is_sound = answered is not None
        except TimeoutError:
            return InvocationResult("timed_out")
        finally:
            if is_sound:
                self._idle.append(worker)
            else:
                await self._template.end(worker)
        return _buffered(answered) if isinstance(answered, Buffered) else InvocationResult("died")

    async def _take(self) -> Worker:
        """The worker that was busy last, so that the others stay cold; a new one when none is idle."""
        while self._idle:
            worker = self._idle.pop()
            if worker.session.is_alive:
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


def _buffered(answered: Buffered) -> InvocationResult:
    try:
        payload = json.loads(answered.payload)
    except ValueError:
        return InvocationResult("failed")
    return InvocationResult("succeeded" if answered.succeeded else "failed", payload)


def _streaming(streamed: Streamed) -> InvocationResult:
    attending = asyncio.current_task()
    assert attending is not None
    return InvocationResult("succeeded", stream=Streaming(streamed, attending))


def _settle(answer: "asyncio.Future[InvocationResult]", result: InvocationResult) -> None:
    """The first result is the one that counts."""
    if not answer.done():
        answer.set_result(result)
