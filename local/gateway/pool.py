"""Functions run as Lambda runs them: an invocation has a process to itself, and dies when its time is up.

The pool restarts a template that died, and ends processes that have been idle for long.
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
# An idle process of a function is ended after so many seconds, unless it is the function's only one.
IDLE_S: Final = 60.0
_UPKEEP_EVERY_S: Final = 0.5


class Pool:
    """An async context manager. Inside it, every function is warm, unless it is rare."""

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
        """`environ` is what every function is told, beside its own part. Each logs to `<name>.log` in `log_dir`.
        `queue_s` is how long a caller waits, in seconds, while all `max_workers` processes of its function
        are busy. Beyond one for each function, an idle process is ended after `idle_s` seconds."""
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

    async def look_after(self, notice: Callable[[str], None]) -> None:
        """Restart templates that died, and end processes that are idle for long, until cancelled. `notice` gets a line
        about each death. Raises FunctionStartError when a function dies again and again."""
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
            # If this fails, the next look finds the function dead again.
            await running.revive()

    async def _start(self, function: Function) -> None:
        log = self._log_dir / f"{function.name}.log"
        environ = {**self._environ, **function.environ}
        template = await Template.start(function, environ, log, self._api)
        running = RunningFunction(function, template, log, self.max_workers, self._queue_s)
        self._running[function.name] = running
        self._resources.push_async_callback(running.close)
