"""Defines functions whose handlers, those of `gateway_handlers`, fail on request."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.gateway.pool import Function, Pool
from local.gateway.server import Gateway, reserve
from shared.domain.origins import origin_pattern
from tests.support.processes import DEADLINE_S, eventually

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 20.0
ORIGINS = origin_pattern("http://localhost:*,https://chat.example")
# Answers of API Gateway when a function fails, and when Lambda throttles it.
FAILED = (502, {"message": "Internal server error"})
THROTTLED = (500, {"message": "Internal server error"})
GOOD = {"Authorization": "Bearer good"}
AUTHORIZER = Function("authorizer", "tests.support.stack.gateway_handlers:authorize", DEADLINE_S)


def pid_in(mark: Path) -> int:
    eventually(mark.exists)
    return int(mark.read_text())


def function(name: str, timeout_s: float = DEADLINE_S) -> Function:
    return Function(name, f"tests.support.stack.gateway_handlers:{name}", timeout_s)


async def rest(_pool: Pool) -> None:
    """Nothing goes on in the background."""
    await asyncio.Event().wait()


@contextmanager
def started(directory: Path, origins: str | None = ORIGINS, hosts: Sequence[str] = ()) -> Iterator[Gateway]:
    marks = directory / "marks"
    marks.mkdir()
    functions = [Function(name, "tests.support.stack.gateway_handlers:by_path", TIMEOUT_S) for name in ("api", "turns")]
    with reserve(0) as listener:
        environ = {"PYTHONPATH": str(ROOT), "MARKS": str(marks)}
        gateway = Gateway(listener, [AUTHORIZER, *functions], environ, directory, rest, origins, hosts)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.stop()


def answer_to(port: int, request: bytes) -> bytes:
    """Everything that the gateway sends until it closes, or until the answer's own end."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        received = b""
        while not received.endswith((b"}", b"received.")) and (chunk := connection.recv(65536)):
            received += chunk
        return received


def invocations(directory: Path) -> int:
    """Return the number of runs of the authorizer."""
    return len(list((directory / "marks").glob("authorized-*")))
