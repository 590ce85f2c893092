"""The gateway at work: pool and HTTP server in one event loop, in a thread of its own.

The rule this file protects: the port is ours before anything else is started, and requests are accepted only
once every function is warm.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from io import TextIOWrapper
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import uvicorn

from local import private
from local.gateway.app import GatewayApp
from local.gateway.hosts import Hosts
from local.gateway.pool import Function, Pool
from local.gateway.protocol import HttpProtocol
from local.gateway.template import FunctionStartError
from shared.names import LocalEnv

HOST: Final = "127.0.0.1"
# How long requests in flight may go on once the gateway is told to stop, in seconds.
_GRACE_S: Final = 3
# Longer than clients keep an idle connection, so that none is closed under a request.
_KEEP_ALIVE_S: Final = 120
_LOGGERS: Final = ("uvicorn.error", "asyncio", "local")


class _PrivateLog(logging.FileHandler):
    """A log that other users of the machine cannot read."""

    def _open(self) -> TextIOWrapper:
        private.make_file(Path(self.baseFilename))
        return super()._open()


class PortUnavailable(Exception):
    """The port cannot be had. The text is one line."""


def reserve(port: int) -> socket.socket:
    """A socket bound to `port` of this machine alone, 0 for any that is free. Raises PortUnavailable."""
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Without this, the connections of the last run keep the port for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise _unavailable(port, error) from error
    return listener


def _unavailable(port: int, error: OSError) -> PortUnavailable:
    fault = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return PortUnavailable(f"Port {port} {fault}; set {LocalEnv.PORT} to another one.")


class Gateway:
    """`start`, then `stop`. `port` is where it accepts requests in between."""

    def __init__(
        self,
        listener: socket.socket,
        functions: Iterable[Function],
        environ: Mapping[str, str],
        log_dir: Path,
        background: Callable[[Pool], Coroutine[Any, Any, None]],
        origins: str | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        """`background` runs beside the server and invokes functions by itself. `origins` is a regular expression of the
        origins whose pages may read answers. `hosts` are names of a proxy in front of the gateway."""
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._pool = Pool(functions, environ, log_dir)
        self._background = background
        self._notice: Callable[[str], None] = lambda _: None
        self._fault = ""
        self._server = uvicorn.Server(_config(GatewayApp(self._pool, Hosts(self.port, hosts), origins)))
        self._log = _PrivateLog(log_dir / "gateway.log", delay=True)
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._started: Future[None] = Future()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="gateway")

    def start(self, notice: Callable[[str], None] | None = None) -> None:
        """Return once requests are accepted. `notice` gets a line when the process of a function dies.

        Raises FunctionStartError, or PortUnavailable when another process has begun to listen since the port was
        reserved."""
        self._notice = notice or self._notice
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._log)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.stop()
            raise

    def wait(self, patience_s: float | None = None) -> bool:
        """Whether the gateway has stopped within `patience_s` seconds, or for ever without them. It stops when told to,
        when a function dies again and again, and on a defect."""
        # Not join(): interrupted by Ctrl-C, that takes the thread for ended, and `stop` would no longer wait for it.
        return self._ended.wait(patience_s)

    @property
    def fault(self) -> str:
        """Why the gateway ended by itself, in a line. Empty where only its log tells that."""
        return self._fault

    def stop(self) -> None:
        """Refuse new requests, give those in flight a moment, and end every process."""
        self._server.should_exit = True
        self._thread.join()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._log)
        self._log.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # A thread has no caller to raise to; `start` does it.
            if self._started.done():
                self._fault = _known_fault(error)
                logging.getLogger(_LOGGERS[0]).exception("The gateway failed.")
            else:
                self._started.set_exception(error)
        finally:
            self._ended.set()

    async def _serve(self) -> None:
        async with self._pool:
            try:
                self._listener.listen()
            except OSError as error:
                raise _unavailable(self.port, error) from error
            # In a group, so that its failure is the gateway's, and not found out when nothing is delivered.
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(self._background(self._pool)),
                    tasks.create_task(self._pool.look_after(self._notice)),
                ]
                self._started.set_result(None)
                await self._server.serve(sockets=[self._listener])
                for task in beside:
                    task.cancel()


def _known_fault(error: BaseException) -> str:
    """The text of the error that a function does not start, wherever it is in groups of errors."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_known_fault, error.exceptions)), "")
    return str(error) if isinstance(error, FunctionStartError) else ""


def _config(app: GatewayApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        # The caller's address is what the socket says, never a header.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
