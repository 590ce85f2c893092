"""Runs a server between a user and Pantheon."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.clients.program import python_of
from tests.support.processes import eventually

_START_S: Final = 120.0


@contextmanager
def serving(name: str, *options: str, health: str, directory: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The server's address, once `health` answers. `name` is its environment and its program.

    It gets nothing of this process's environment, writes into `directory`, and listens on this machine only."""
    port = _free_port()
    environment, program = name.split("/")
    command = [str(python_of(environment).with_name(program)), *options, "--host", "127.0.0.1", "--port", str(port)]
    given = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1", **environ}
    with (
        (directory / "server.log").open("w") as log,
        subprocess.Popen(command, env=given, cwd=directory, stdout=log, stderr=log) as process,
    ):
        try:
            eventually(lambda: _answers(f"http://127.0.0.1:{port}{health}"), _START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
