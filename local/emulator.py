"""Lambda's Runtime Interface Emulator: a bundled function, as Lambda runs it, with Lambda's Python and nothing else.

The rule this file protects: what a function imports is what was bundled. It never sees this checkout, nor what is
installed beside it.
"""

import json
import os
import platform
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local import process

_PROGRAMS: Final = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
_INVOKE: Final = "http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
_END_OF_PRELUDE: Final = bytes(8)
_READY_S: Final = 10.0
_STOP_S: Final = 5.0
_INIT: Final = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")


@dataclass(frozen=True)
class Function:
    """`paths` are where its modules are found, the first one first; `tools` has the emulator and Lambda's runtime
    client; `python` is an interpreter of Lambda's version; `loop` is the module that runs the handler."""

    handler: str
    paths: Sequence[Path]
    environment: Mapping[str, str]
    tools: Path
    python: str
    loop: str = "awslambdaric"


@dataclass(frozen=True)
class Emulator:
    """One function that runs. What it writes is in `log`."""

    port: int
    log: Path

    def invoke(self, event: object, patience_s: float = 60.0) -> Any:
        """What the function returns; where it raises, a mapping with `errorType`.

        The emulator passes a streamed response on as it was written. It is returned like one that was not streamed."""
        url = _INVOKE.format(port=self.port)
        request = urllib.request.Request(url, json.dumps(event).encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=patience_s) as response:  # noqa: S310
            answer, streamed, body = response.read().partition(_END_OF_PRELUDE)
        found = json.loads(answer or b"null")
        return {**found, "body": body.decode()} if streamed else found

    @property
    def init_ms(self) -> float:
        """What the emulator measured of the start, which is made for the first event."""
        found = _INIT.findall(self.log.read_text())
        if not found:
            raise ValueError(f"no start is reported in {self.log}")
        return float(found[0])


@contextmanager
def emulate(function: Function, log: Path) -> Iterator[Emulator]:
    """Start `function`, from the main thread; it is initialised for its first event."""
    port, api_port = _free_port(), _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(map(str, [*function.paths, function.tools])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        **function.environment,
    }
    command: list[str | Path] = [
        function.tools / "samcli" / "local" / "rapid" / _PROGRAMS[platform.machine()],
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{api_port}",
        function.python,
        "-m",
        function.loop,
        function.handler,
    ]
    with log.open("wb") as output:
        emulator = process.spawn(command, output=output, cwd=function.paths[0], env=environment)
    try:
        _wait_for(port)
        yield Emulator(port, log)
    finally:
        process.end(emulator, signal.SIGTERM, signal.SIGKILL, patience_s=_STOP_S)
        # What it started is in its session, and may have outlived it.
        with suppress(ProcessLookupError):
            os.killpg(emulator.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
