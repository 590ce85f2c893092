"""Start, fork and end the processes of one function: a template, and the workers that it forks.

Every process can be killed until it is reaped, even if its parent has died.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from local import private
from local.gateway.invocations import Function
from local.gateway.runtime_api import RuntimeApi
from local.gateway.session import Session
from local.gateway.worker import CONTROL, FORK, KILL, READY, LambdaContext

_IMPORT_S: Final = 60.0
_ANSWER_S: Final = 10.0
_EXIT_S: Final = 5.0


class FunctionStartError(Exception):
    """A function does not start. Its log has the reason."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that serves one invocation at a time."""

    pid: int
    session: Session


class Template:
    """A process that has imported one handler and forks workers. Made with `start`, ended with `close`."""

    def __init__(self, function: Function, environ: Mapping[str, str], log: Path, api: RuntimeApi) -> None:
        self._api = api
        self._function = function
        self._name = function.name
        self._environ = {**environ, "AWS_LAMBDA_FUNCTION_NAME": function.name}
        if sys.platform == "darwin":
            # Otherwise macOS ends a forked process that uses a system library.
            self._environ["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
        self._log = log
        self._lock = asyncio.Lock()
        # None: it was never started.
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket

    @classmethod
    async def start(cls, function: Function, environ: Mapping[str, str], log: Path, api: RuntimeApi) -> Self:
        """Start the process, and wait until it has imported the handler. A rare function starts later.

        It writes to `log`, and its workers get their invocations from `api`. The calling thread must live as long as
        the pool, because Linux ends the process with it. Raises FunctionStartError.
        """
        template = cls(function, environ, log, api)
        if function.rare:
            return template
        try:
            await template._launch()
        except OSError as error:
            raise FunctionStartError(f"The function '{function.name}' cannot write {log}: {error.strerror}.") from error
        return template

    async def fork(self) -> Worker:
        """Fork a worker, and return it once it asks for its first invocation.

        Raises FunctionStartError if the template has died and does not restart. Raises TimeoutError if the worker does
        not ask."""
        session = self._api.open(LambdaContext(self._name, "", 0.0).invoked_function_arn)
        try:
            worker = Worker(await self._fork_with(self._api.address(session)), session)
        except BaseException:
            self._api.close(session)
            raise
        try:
            async with asyncio.timeout(_ANSWER_S):
                await session.asked.wait()
        except BaseException:
            await self.end(worker)
            raise
        return worker

    async def end(self, worker: Worker) -> None:
        """Kill `worker`, and wait for its end."""
        self._api.close(worker.session)
        async with self._lock:
            # The workers of a template end with it.
            with suppress(EOFError, OSError):
                await self._ask(KILL, worker.pid)

    @property
    def exit_code(self) -> int | None:
        """Return None before the start and while the process runs. A negative code is the number of a signal."""
        return None if self._process is None else self._process.poll()

    async def revive(self) -> None:
        """Restart the process if it has ended. Raises FunctionStartError and OSError."""
        async with self._lock:
            await self._revive()

    async def close(self) -> None:
        """End the template, which ends its workers first."""
        async with self._lock:
            if self._process is not None:
                await self._close(self._process)

    async def _close(self, process: subprocess.Popen[bytes]) -> None:
        self._control.close()
        try:
            await asyncio.to_thread(process.wait, _EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def _launch(self) -> None:
        private.make_file(self._log)
        with self._log.open("ab") as log, ExitStack() as resources:
            self._control, theirs = socket.socketpair()
            resources.enter_context(theirs)
            self._control.setblocking(False)
            later = ",".join(self._function.later)
            arguments = (str(theirs.fileno()), str(os.getpid()), later, self._name, self._function.handler)
            process = self._process = subprocess.Popen(
                [self._function.python or sys.executable, "-P", "-m", "local.gateway.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            await self._answer(READY, _IMPORT_S)
        except (EOFError, OSError):
            await self._close(process)
            raise FunctionStartError(f"The function '{self._name}' does not start; see {self._log}.") from None

    async def _fork_with(self, address: str) -> int:
        async with self._lock:
            await self._revive()
            return await self._ask(FORK, 0, address)

    async def _revive(self) -> None:
        if self._process is None:
            await self._launch()
        elif self._process.poll() is not None:
            self._control.close()
            await self._launch()

    async def _ask(self, operation: bytes, pid: int, address: str = "") -> int:
        self._control.sendall(CONTROL.pack(operation, pid, address.encode()))
        return await self._answer(operation, _ANSWER_S)

    async def _answer(self, operation: bytes, patience_s: float) -> int:
        """Return the process id that the template answers. Raises EOFError or OSError without an answer.

        A template that is too slow is killed, because its late answer would be read as the answer to the next question.
        """
        try:
            async with asyncio.timeout(patience_s):
                message = await asyncio.get_running_loop().sock_recv(self._control, CONTROL.size)
        except BaseException:
            if self._process is not None:
                self._process.kill()
            raise
        if not message:
            raise EOFError(f"The template of '{self._name}' is gone.")
        answered, pid, _ = CONTROL.unpack(message)
        assert answered == operation
        return int(pid)
