"""The gateway's pool: processes that serve one invocation at a time, whatever becomes of them."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from local.gateway.pool import Function, InvocationResult, Pool
from local.gateway.session import Session
from local.gateway.template import FunctionStartError
from local.gateway.worker import MAX_PAYLOAD
from tests.e2e.misbehaving import function, pid_in
from tests.processes import DEADLINE_S, eventually, runs


class TestPool:
    """The pool alone, as an event source uses it."""

    @pytest.fixture
    def run(self, tmp_path: Path, environ: dict[str, str]) -> Callable[..., Any]:
        def run(scenario: Callable[[Pool], Coroutine[Any, Any, Any]], *functions: Function, **limits: Any) -> Any:
            async def inside() -> Any:
                async with Pool(functions, environ, tmp_path, **limits) as pool:
                    return await scenario(pool)

            return asyncio.run(inside())

        return run

    def test_the_handler_has_the_given_environment_and_nothing_else(
        self, run: Callable[..., Any], environ: dict[str, str]
    ) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            return await pool.invoke("environment", {})

        result = run(scenario, function("environment"))
        # The interpreter itself sets LC_CTYPE where no locale is given.
        result.payload.pop("LC_CTYPE", None)
        assert result.payload == environ | {"AWS_LAMBDA_FUNCTION_NAME": "environment"}

    def test_the_context_is_lambdas_and_counts_down(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> list[InvocationResult]:
            return [await pool.invoke("context", {}) for _ in range(2)]

        first, second = run(scenario, function("context", timeout_s=5))
        assert 0 < first.payload["after"] < first.payload["before"] <= 5000
        assert first.payload["function_name"] == "context"
        assert first.payload["arn"].endswith(":function:context")
        assert first.payload["request_id"] != second.payload["request_id"]
        # The second invocation of a process has its own time.
        assert second.payload["before"] > 4000

    def test_callers_wait_in_line_for_a_process(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> list[InvocationResult]:
            return await asyncio.gather(*(pool.invoke("alone", {}) for _ in range(40)))

        results = run(scenario, function("alone"), max_workers=2)
        assert [result.status for result in results] == ["succeeded"] * 40
        assert len({result.payload["headers"]["x-pid"] for result in results}) == 2

    def test_a_caller_who_has_waited_too_long_is_turned_away(self, run: Callable[..., Any], marks: Path) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            holder = asyncio.create_task(pool.invoke("finish", {}))
            await asyncio.to_thread(eventually, (marks / "started").exists)
            turned_away = await pool.invoke("finish", {})
            (marks / "go").touch()
            assert (await holder).status == "succeeded"
            return turned_away

        assert run(scenario, function("finish"), max_workers=1, queue_s=0.05).status == "throttled"

    def test_payloads_over_lambdas_limit_are_refused_both_ways(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> list[InvocationResult]:
            sizes = (MAX_PAYLOAD - 2, MAX_PAYLOAD - 1)
            results = [await pool.invoke("large", {"bytes": size}) for size in sizes]
            return [*results, await pool.invoke("large", {"bytes": 1, "padding": "x" * MAX_PAYLOAD})]

        fits, too_long, never_sent = run(scenario, function("large"))
        assert (fits.status, len(fits.payload)) == ("succeeded", MAX_PAYLOAD - 2)
        assert (too_long.status, too_long.payload["errorType"]) == ("failed", "Function.ResponseSizeTooLarge")
        assert never_sent.status == "too_large"

    def test_a_result_that_is_no_json_is_the_functions_failure(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            return await pool.invoke("unspeakable", {})

        result = run(scenario, function("unspeakable"))
        assert (result.status, result.payload["errorType"]) == ("failed", "TypeError")

    def test_workers_do_not_share_the_event_loop_of_the_imported_module(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> list[InvocationResult]:
            return await asyncio.gather(*(pool.invoke("wake", {"together": 8}) for _ in range(8)))

        assert {result.status for result in run(scenario, function("wake"))} == {"succeeded"}

    def test_an_idle_process_that_died_costs_no_invocation(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> tuple[int, InvocationResult]:
            pid = int((await pool.invoke("echo", {})).payload["headers"]["x-pid"])
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: not runs(pid))
            return pid, await pool.invoke("echo", {})

        pid, result = run(scenario, function("echo"))
        assert result.status == "succeeded"
        assert int(result.payload["headers"]["x-pid"]) != pid

    def test_a_process_that_dies_unnoticed_while_it_is_idle_costs_no_invocation(
        self, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            pid = int((await pool.invoke("echo", {})).payload["headers"]["x-pid"])
            # Long enough for the process to ask for its next invocation.
            await asyncio.sleep(0.1)
            monkeypatch.setattr(Session, "is_alive", True)
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: not runs(pid))
            return await pool.invoke("echo", {})

        assert run(scenario, function("echo")).status == "succeeded"

    def test_a_caller_who_gives_up_ends_the_process(self, run: Callable[..., Any], marks: Path) -> None:
        async def scenario(pool: Pool) -> int:
            hanging = asyncio.create_task(pool.invoke("hang", {}))
            pid = await asyncio.to_thread(pid_in, marks / "hanging")
            hanging.cancel()
            # Not only when its time is over.
            async with asyncio.timeout(DEADLINE_S / 2):
                with pytest.raises(asyncio.CancelledError):
                    await hanging
            assert not runs(pid)
            return pid

        assert run(scenario, function("hang"))

    def test_a_caller_who_abandons_a_stream_ends_the_process(self, run: Callable[..., Any], marks: Path) -> None:
        async def scenario(pool: Pool) -> None:
            stream = (await pool.open("stream", {"pathParameters": {"session_id": "hang"}})).stream
            assert stream is not None
            assert await anext(aiter(stream)) == b"begun"
            pid = await asyncio.to_thread(pid_in, marks / "hanging")
            stream.abandon()
            await asyncio.to_thread(eventually, lambda: not runs(pid), DEADLINE_S / 2)

        run(scenario, Function("stream", "tests.e2e.streaming_handlers:by_session", DEADLINE_S))

    def test_a_killed_template_is_replaced(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            headers = (await pool.invoke("echo", {})).payload["headers"]
            os.kill(int(headers["x-parent"]), signal.SIGKILL)
            # On Linux the worker follows its template.
            await asyncio.to_thread(eventually, lambda: not runs(int(headers["x-pid"])))
            return await pool.invoke("echo", {})

        assert run(scenario, function("echo")).status == "succeeded"

    def test_nothing_runs_once_the_pool_is_closed(self, run: Callable[..., Any], marks: Path) -> None:
        async def scenario(pool: Pool) -> list[int]:
            headers = (await pool.invoke("echo", {})).payload["headers"]
            hanging = asyncio.create_task(pool.invoke("hang", {}))
            busy = await asyncio.to_thread(pid_in, marks / "hanging")
            hanging.cancel()
            return [int(headers["x-pid"]), int(headers["x-parent"]), busy]

        assert not any(map(runs, run(scenario, function("echo"), function("hang"))))

    def test_a_handler_that_cannot_be_imported_is_told_at_the_start(
        self, run: Callable[..., Any], tmp_path: Path
    ) -> None:
        async def scenario(pool: Pool) -> None:
            raise AssertionError("the pool must not start")

        with pytest.raises(FunctionStartError, match=r"'missing' .*missing\.log"):
            run(scenario, function("echo"), function("missing"))
        assert "missing" in (tmp_path / "missing.log").read_text()

    def test_the_log_has_every_line_in_one_piece(self, run: Callable[..., Any], tmp_path: Path) -> None:
        async def scenario(pool: Pool) -> None:
            await asyncio.gather(*(pool.invoke("write_logs", {}) for _ in range(8)))

        run(scenario, function("write_logs"))
        lines = (tmp_path / "write_logs.log").read_text().splitlines()
        assert len(lines) == 400
        assert all(re.fullmatch(r"\d+ \d+ x{500}", line) for line in lines)
