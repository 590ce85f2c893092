"""Run the invocations of one function on its template's processes.

A process is reused only if it has completed its invocation. Otherwise it is killed, so that no invocation meets the
state of an incomplete one.
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

# The most processes that an invocation tries, because an idle process may be dead.
_MOST_TRIES: Final = 3


class RunningFunction:
    def __init__(self, function: Function, template: Template, log: Path, max_workers: int, queue_s: float) -> None:
        self.name: Final = function.name
        self.log: Final = log
        self._function = function
        self._template = template
        self._slots = asyncio.Semaphore(max_workers)
        self._queue_s = queue_s
        # Each idle worker with the time at which it became idle. The longest idle is first.
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
            # Wait until the process has ended.
            await asyncio.wait([attending])
            raise

    @property
    def is_dead(self) -> bool:
        """Return whether the template has ended, and its processes with it."""
        return self._template.exit_code is not None

    @property
    def fate(self) -> str:
        """Return in words how the template ended."""
        return in_words(self._template.exit_code)

    async def revive(self) -> None:
        """Restart the template, unless a request has done so. Raises FunctionStartError and OSError."""
        await self._template.revive()

    async def end_idle(self, idle_s: float) -> None:
        """End processes that are idle for more than `idle_s` seconds, except one for the next request."""
        while len(self._idle) > 1 and time.monotonic() - self._idle[0][0] > idle_s:
            _, worker = self._idle.pop(0)
            await self._template.end(worker)

    async def close(self) -> None:
        for attending in self._attending:
            attending.cancel()
        await asyncio.gather(*self._attending, return_exceptions=True)
        await self._template.close()

    async def _attend(self, payload: bytes, answer: "asyncio.Future[InvocationResult]") -> None:
        """Wait for a slot, and run an invocation to the end of its process's work."""
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
            # After an error or a cancellation, the caller still waits for a result.
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
            # A process that died while idle has not received the invocation, so another one can run it.
            if result.status != "died" or invocation.was_delivered:
                return result
        return InvocationResult("died")

    async def _wait(
        self, worker: Worker, invocation: Invocation, answer: "asyncio.Future[InvocationResult]"
    ) -> InvocationResult:
        """Wait until the process is done, and make it idle. If it fails, end it."""
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
        # For the log, because the caller has the stream already.
        return InvocationResult("succeeded" if is_sound else "died")

    async def _take(self) -> Worker:
        """Return the last idle worker, so that the others can be ended, or a new one."""
        while self._idle:
            _, worker = self._idle.pop()
            if worker.session.is_alive:
                return worker
            await self._template.end(worker)
        return await self._template.fork()

    def _report(self, request_id: str, status: Status, seconds: float) -> None:
        """Log the end of a process that could not log it, in the form of Lambda's platform logs."""
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
    """Set the result, unless there is one."""
    if not answer.done():
        answer.set_result(result)
