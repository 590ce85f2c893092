"""Tests Lambda's real loop, as `functions.runtime` starts it, against the local Runtime API."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from local.gateway.runtime_api import RuntimeApi
from local.gateway.session import Buffered, Session, StreamBroken, Streamed
from tests.support.streaming_handler import NAME

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric has a wheel for Linux only")

ROOT = Path(__file__).parents[2]
WITHIN_S = 30.0
# curl sends `Expect: 100-continue` before a body of this size.
LARGE = "x" * 2_000_000


class Loop:
    """A process with the loop, and its session."""

    def __init__(self, process: "subprocess.Popen[bytes]", session: Session) -> None:
        self.process = process
        self.session = session
        self._count = 0

    async def take(self, event: dict[str, Any]) -> Buffered | Streamed | None:
        self._count += 1
        invocation = self.session.begin(f"id-{self._count}", json.dumps(event).encode(), WITHIN_S)
        return await invocation.answered


def run(scenario: Callable[[Loop], Awaitable[None]], handler: str = NAME) -> None:
    async def inside() -> None:
        async with asyncio.timeout(WITHIN_S), RuntimeApi() as api:
            session = api.open("arn:aws:lambda:local:000000000000:function:echo")
            paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            process = subprocess.Popen(
                [sys.executable, "-m", "functions.runtime", handler],
                env={"PYTHONPATH": paths, "AWS_LAMBDA_RUNTIME_API": api.address(session)},
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                await asked(session, process)
                await scenario(Loop(process, session))
            finally:
                process.kill()
                process.wait()

    asyncio.run(inside())


async def asked(session: Session, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process asks for an invocation, or has ended."""
    while not session.asked.is_set() and process.poll() is None:
        await asyncio.sleep(0.01)


def test_the_loop_answers_one_invocation_after_the_other_in_one_process() -> None:
    async def scenario(loop: Loop) -> None:
        for number in (1, 3):
            answer = await loop.take({"do": "dict"})
            assert isinstance(answer, Buffered)
            assert json.loads(answer.payload) == {"pid": loop.process.pid, "id": f"id-{number}", "main": True}
            stream = await loop.take({"do": "stream"})
            assert isinstance(stream, Streamed)
            assert stream.prelude == {"statusCode": 200, "headers": {"content-type": "text/plain"}, "cookies": []}
            assert b"".join([piece async for piece in stream]) == b"onetwo"

    run(scenario)


def test_the_loop_sends_a_large_payload() -> None:
    async def scenario(loop: Loop) -> None:
        answer = await loop.take({"do": "http", "answer": [LARGE]})
        assert answer == Buffered(True, json.dumps([LARGE]).encode())
        assert isinstance(await loop.take({"do": "dict"}), Buffered)

    run(scenario)


def test_an_error_of_the_handler_is_told_and_the_loop_goes_on() -> None:
    async def scenario(loop: Loop) -> None:
        answer = await loop.take({"do": "raise"})
        assert isinstance(answer, Buffered)
        assert not answer.succeeded
        assert json.loads(answer.payload)["errorType"] == "LookupError"
        assert isinstance(await loop.take({"do": "dict"}), Buffered)

    run(scenario)


def test_an_error_in_mid_stream_breaks_the_stream_and_the_loop_goes_on() -> None:
    async def scenario(loop: Loop) -> None:
        stream = await loop.take({"do": "raise_late"})
        assert isinstance(stream, Streamed)
        assert await anext(stream) == b"one"
        with pytest.raises(StreamBroken):
            await anext(stream)
        assert isinstance(await loop.take({"do": "dict"}), Buffered)

    run(scenario)


def test_a_loop_that_is_killed_is_lost_with_its_invocation() -> None:
    async def scenario(loop: Loop) -> None:
        stream = await loop.take({"do": "stream", "pause_s": WITHIN_S})
        assert isinstance(stream, Streamed)
        loop.process.kill()
        with pytest.raises(StreamBroken):
            assert [piece async for piece in stream]
        while loop.session.is_alive:
            await asyncio.sleep(0.01)
        assert await loop.take({"do": "dict"}) is None

    run(scenario)


def test_a_handler_that_cannot_be_imported_ends_the_loop() -> None:
    async def scenario(loop: Loop) -> None:
        assert loop.process.wait() != 0
        assert not loop.session.asked.is_set()

    run(scenario, "tests.support.streaming_handler.missing")
