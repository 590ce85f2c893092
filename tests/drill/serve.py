"""Run a release's handlers, one event after the other, as a Lambda environment does.

This file runs as a script and belongs to no release. It knows only the functions' names and Lambda's arguments. It ends
if it loads anything from outside the release's folder.

    python -P serve.py FOLDER SOCKET        with PYTHONPATH=FOLDER
"""

import asyncio
import json
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass
class Context:
    """A Lambda context whose remaining time follows a script; the last value is repeated."""

    seconds_left: list[float]
    aws_request_id: str
    function_name: str = "pantheon"
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "1024"
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:pantheon"

    def get_remaining_time_in_millis(self) -> int:
        left = self.seconds_left.pop(0) if len(self.seconds_left) > 1 else self.seconds_left[0]
        return int(left * 1000)


def handle(folder: Path, job: dict[str, Any]) -> Any:
    """Return the function's result. If it raises, return a mapping with `errorType`, as Lambda does."""
    module = import_module(f"functions.{job['function']}.handler")
    assert_of_release(folder)
    try:
        return module.handler(job["event"], Context(job["seconds_left"], job["request_id"]))
    except Exception as error:  # noqa: BLE001 - as Lambda does
        return {"errorType": type(error).__name__, "errorMessage": str(error)}


def assert_of_release(folder: Path) -> None:
    """Fail if this process mixes two releases, because it would prove nothing."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("functions", "shared", "migrations") and module.__file__ is not None:
            assert Path(module.__file__).is_relative_to(folder), f"{name} is {module.__file__}"


def main() -> None:
    folder, address = sys.argv[1:]
    asyncio.set_event_loop(asyncio.new_event_loop())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        descriptor = client.detach()
    with Connection(descriptor) as pipe:
        while True:
            try:
                job = json.loads(pipe.recv_bytes())
            except (EOFError, ConnectionResetError):
                return
            pipe.send_bytes(json.dumps(handle(Path(folder), job)).encode())


if __name__ == "__main__":
    main()
