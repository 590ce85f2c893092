"""Functions whose handlers, those of `gateway_handlers`, misbehave on request, and speak to the test through files."""

import asyncio
from pathlib import Path

from local.gateway.pool import Function, Pool
from tests.processes import DEADLINE_S, eventually

HERE = Path(__file__).parent
UNAVAILABLE = (503, {"message": "Service Unavailable"})


def pid_in(mark: Path) -> int:
    eventually(mark.exists)
    return int(mark.read_text())


def function(name: str, timeout_s: float = DEADLINE_S) -> Function:
    return Function(name, f"gateway_handlers:{name}", timeout_s)


async def rest(_pool: Pool) -> None:
    """Nothing goes on in the background."""
    await asyncio.Event().wait()
