"""Run functions as Lambda does: each invocation has a process for itself, which is killed at the timeout.

The pool restarts a template that died, and ends idle processes.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, Self

from local.gateway.invocations import Function, InvocationResult, Status
from local.gateway.running_function import RunningFunction
from local.gateway.runtime_api import RuntimeApi
from local.gateway.template import FunctionStartError, Template
from local.restarts import Restarts

__all__ = ["MAX_WORKERS", "QUEUE_S", "Function", "InvocationResult", "Pool", "Status"]

MAX_WORKERS: Final = 32
QUEUE_S: Final = 10.0
# Seconds after which an idle process is ended, unless it is its function's only one.
IDLE_S: Final = 60.0
_UPKEEP_EVERY_S: Final = 0.5


class Pool:
    """The processes of all functions. In the async context, every function is warm, unless it is rare."""

    def __init__(
        self,
        functions: Iterable[Function],
        environ: Mapping[str, str],
        log_dir: Path,
        *,
        max_workers: int = MAX_WORKERS,
        queue_s: float = QUEUE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        """Prepare the pool.

        Args:
            environ: Variables of every function. Each function adds its own.
            log_dir: The folder of the logs, `<name>.log` for each function.
            max_workers: The most processes of a function.
            queue_s: The most seconds that a caller waits while all processes of its function are busy.
            idle_s: Seconds after which an idle process is ended. Each function keeps one.
        """
        self._functions = tuple(functions)
        self._environ = environ
        self._log_dir = log_dir
        self.max_workers: Final = max_workers
        self._queue_s = queue_s
        self._idle_s = idle_s
        self._api = RuntimeApi()
        self._resources = AsyncExitStack()
        self._running: dict[str, RunningFunction] = {}

    async def __aenter__(self) -> Self:
        """Start all functions. Raises FunctionStartError if a handler cannot be imported."""
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
        """Run the function `name` once, for a buffered response. A streamed response is a failure.

        Raises KeyError if the pool has no such function."""
        result = await self.open(name, event)
        if result.stream is None:
            return result
        result.stream.abandon()
        return InvocationResult("failed")

    async def open(self, name: str, event: object) -> InvocationResult:
        """Run the function `name` once, for a response of either kind. A stream must be read or abandoned."""
        return await self._running[name].open(event)

    async def look_after(self, notice: Callable[[str], None]) -> None:
        """Restart templates that died, and end idle processes, until cancelled.

        `notice` gets a line for each death. Raises FunctionStartError if a function dies too often."""
        async with asyncio.TaskGroup() as tasks:
            for running in self._running.values():
                tasks.create_task(self._look_after(running, notice))

    async def _look_after(self, running: RunningFunction, notice: Callable[[str], None]) -> None:
        restarts = Restarts()
        while True:
            await asyncio.sleep(_UPKEEP_EVERY_S)
            await running.end_idle(self._idle_s)
            if running.is_dead:
                await self._restart(running, restarts, notice)

    async def _restart(self, running: RunningFunction, restarts: Restarts, notice: Callable[[str], None]) -> None:
        died = f"The process of the function '{running.name}' {running.fate}"
        pause = restarts.begin()
        if pause is None:
            raise FunctionStartError(f"{died} too often; see {running.log}.")
        notice(f"{died}. It is started again. A request that it was serving got status 502.")
        await asyncio.sleep(pause)
        with suppress(FunctionStartError, OSError):
            # After a failure, the next round finds the function dead again.
            await running.revive()

    async def _start(self, function: Function) -> None:
        log = self._log_dir / f"{function.name}.log"
        environ = {**self._environ, **function.environ}
        template = await Template.start(function, environ, log, self._api)
        running = RunningFunction(function, template, log, self.max_workers, self._queue_s)
        self._running[function.name] = running
        self._resources.push_async_callback(running.close)
