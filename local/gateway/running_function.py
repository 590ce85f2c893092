"""One function of the pool at work: its template, its idle processes, and those that are busy.

The rule this file protects: a process is given back only once it is done with its invocation. Whatever else happened
to it, it is killed, so that no invocation ever meets the remains of another.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from local.gateway.invocations import Function, InvocationResult, Status
from local.gateway.session import Buffered, Invocation, Streamed
from local.gateway.streaming import Streaming
from local.gateway.template import FunctionStartError, Template, Worker
from local.gateway.worker import MAX_PAYLOAD
from local.process import in_words

# So many idle processes may turn out to be dead before one gets the invocation.
_MOST_TRIES: Final = 3


class RunningFunction:
    def __init__(self, function: Function, template: Template, log: Path, max_workers: int, queue_s: float) -> None:
        self.name: Final = function.name
        self.log: Final = log
        self._function = function
        self._template = template
        self._slots = asyncio.Semaphore(max_workers)
        self._queue_s = queue_s
        # With the time at which each became idle. The one that waits longest is first.
        self._idle: list[tuple[float, Worker]] = []
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

    @property
    def is_dead(self) -> bool:
        """Whether the template has ended by itself. Without it there are no processes."""
        return self._template.exit_code is not None

    @property
    def fate(self) -> str:
        """How the template ended, in words."""
        return in_words(self._template.exit_code)

    async def revive(self) -> None:
        """Start the template again, unless a request has done so. Raises FunctionStartError and OSError."""
        await self._template.revive()

    async def end_idle(self, idle_s: float) -> None:
        """End the processes that are idle for longer than `idle_s` seconds. One is left, for the next request."""
        while len(self._idle) > 1 and time.monotonic() - self._idle[0][0] > idle_s:
            _, worker = self._idle.pop(0)
            await self._template.end(worker)

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
                self._idle.append((time.monotonic(), worker))
            else:
                await self._template.end(worker)
        if isinstance(answered, Buffered):
            return _buffered(answered)
        # The caller has the stream already. This is for the log.
        return InvocationResult("succeeded" if is_sound else "died")

    async def _take(self) -> Worker:
        """The worker that was busy last, so that the others stay cold; a new one when none is idle."""
        while self._idle:
            _, worker = self._idle.pop()
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
        with self.log.open("a") as log:
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
