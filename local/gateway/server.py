"""Run the pool and the HTTP server of the gateway in one event loop, in its own thread.

The port is bound before anything else starts. The gateway accepts requests once every function is warm.
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
# Seconds that requests in flight get when the gateway stops.
_GRACE_S: Final = 3
# Longer than clients keep an idle connection, so that the gateway closes none during a request.
_KEEP_ALIVE_S: Final = 120
_LOGGERS: Final = ("uvicorn.error", "asyncio", "local")


class _PrivateLog(logging.FileHandler):
    """A log that other users of the machine cannot read."""

    def _open(self) -> TextIOWrapper:
        private.make_file(Path(self.baseFilename))
        return super()._open()


class PortUnavailable(Exception):
    """The port cannot be bound. The text is one line."""


def reserve(port: int) -> socket.socket:
    """Return a socket bound to `port` of 127.0.0.1; 0 takes any free port. Raises PortUnavailable."""
    # asyncio turns Nagle's algorithm off only if the protocol is named. With it, an answer takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Without this, connections of the last run block the port for a minute.
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
    """The gateway. It accepts requests on `port` between `start` and `stop`."""

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
        """Prepare the gateway.

        Args:
            background: Runs in parallel to the server, and invokes functions by itself.
            origins: A regular expression of the origins whose pages may read answers.
            hosts: Names of a proxy in front of the gateway.
        """
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
        """Return once the gateway accepts requests. `notice` gets a line when the process of a function dies.

        Raises FunctionStartError, or PortUnavailable if another process listens on the port since `reserve`."""
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
        """Wait at most `patience_s` seconds, without a limit for None, and return whether the gateway has stopped.

        It stops after `stop`, when a function dies too often, and on a defect."""
        # Not join(), because Ctrl-C during a join marks the thread as ended, and `stop` would not wait for it.
        return self._ended.wait(patience_s)

    @property
    def fault(self) -> str:
        """Return in a line why the gateway ended by itself. Empty if only its log has the reason."""
        return self._fault

    def stop(self) -> None:
        """Refuse new requests, wait up to 3 s for requests in flight, and end every process."""
        self._server.should_exit = True
        self._thread.join()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._log)
        self._log.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # A thread cannot raise to a caller, so `start` raises this.
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
            # In a group, so that a failure of these tasks ends the gateway.
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
    """Return the text of a FunctionStartError, also from groups of errors, or an empty text."""
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
        # Take the caller's address from the socket, never from a header.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
