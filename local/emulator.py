"""Run a bundled function in Lambda's Runtime Interface Emulator, with Lambda's version of Python.

The function imports only its bundle, and nothing of this checkout or its environment.
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
    """A bundled function.

    Attributes:
        paths: The folders of its modules, in the order of the search.
        tools: The folder with the emulator and Lambda's runtime client.
        python: An interpreter of Lambda's version.
        loop: The module that runs the handler.
    """

    handler: str
    paths: Sequence[Path]
    environment: Mapping[str, str]
    tools: Path
    python: str
    loop: str = "awslambdaric"


@dataclass(frozen=True)
class Emulator:
    """A running function. Its output is in `log`."""

    port: int
    log: Path

    def invoke(self, event: object, patience_s: float = 60.0) -> Any:
        """Return the function's result, or a mapping with `errorType` if it raises.

        A streamed response is returned like one that is not streamed."""
        url = _INVOKE.format(port=self.port)
        request = urllib.request.Request(url, json.dumps(event).encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=patience_s) as response:  # noqa: S310
            answer, streamed, body = response.read().partition(_END_OF_PRELUDE)
        found = json.loads(answer or b"null")
        return {**found, "body": body.decode()} if streamed else found

    @property
    def init_ms(self) -> float:
        """Return the milliseconds of the start, as the emulator reports them. The first event causes the start."""
        found = _INIT.findall(self.log.read_text())
        if not found:
            raise ValueError(f"{self.log} reports no start")
        return float(found[0])


@contextmanager
def emulate(function: Function, log: Path) -> Iterator[Emulator]:
    """Start `function`. Call it from the main thread. The first event initialises the function."""
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
        # Its children are in its session, and may still run.
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
