"""Tests the gateway's pool of processes, each of which serves one invocation at a time."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import restarts
from local.gateway.pool import Function, InvocationResult, Pool
from local.gateway.session import Session
from local.gateway.template import FunctionStartError
from local.gateway.worker import MAX_PAYLOAD
from tests.support.processes import DEADLINE_S, eventually, family_of, runs
from tests.support.stack.misbehaving import function, pid_in


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
        # The interpreter sets LC_CTYPE itself if no locale is given.
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
            # The process ends now, before its time is over.
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

        run(scenario, Function("stream", "tests.support.stack.streaming_handlers:by_session", DEADLINE_S))

    def test_a_killed_template_is_replaced(self, run: Callable[..., Any]) -> None:
        async def scenario(pool: Pool) -> InvocationResult:
            headers = (await pool.invoke("echo", {})).payload["headers"]
            os.kill(int(headers["x-parent"]), signal.SIGKILL)
            # On Linux the worker follows its template.
            await asyncio.to_thread(eventually, lambda: not runs(int(headers["x-pid"])))
            return await pool.invoke("echo", {})

        assert run(scenario, function("echo")).status == "succeeded"

    def test_pool_has_no_process_once_it_is_closed(self, run: Callable[..., Any], marks: Path) -> None:
        async def scenario(pool: Pool) -> list[int]:
            headers = (await pool.invoke("echo", {})).payload["headers"]
            hanging = asyncio.create_task(pool.invoke("hang", {}))
            busy = await asyncio.to_thread(pid_in, marks / "hanging")
            hanging.cancel()
            return [int(headers["x-pid"]), int(headers["x-parent"]), busy]

        assert not any(map(runs, run(scenario, function("echo"), function("hang"))))

    def test_handler_that_cannot_be_imported_is_an_error_at_the_start(
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


class TestUpkeep:
    """The pool starts and ends processes in addition to its invocations."""

    @pytest.fixture
    def processes(self) -> Callable[[], set[int]]:
        """Returns the living processes that the test has started. A database of other tests may run at the same
        time.
        """
        others = family_of(os.getpid())
        return lambda: alive(family_of(os.getpid()) - others)

    @staticmethod
    def run(scenario: Callable[[Pool, list[str]], Coroutine[Any, Any, Any]], pool: Pool) -> Any:
        async def inside() -> Any:
            notices = list[str]()
            async with pool:
                upkeep = asyncio.create_task(pool.look_after(notices.append))
                try:
                    return await scenario(pool, notices)
                finally:
                    upkeep.cancel()
                    await asyncio.wait([upkeep])

        return asyncio.run(inside())

    def test_idle_processes_end_after_a_while_but_one(
        self, tmp_path: Path, environ: dict[str, str], processes: Callable[[], set[int]]
    ) -> None:
        async def scenario(pool: Pool, _: list[str]) -> tuple[set[int], InvocationResult]:
            results = await asyncio.gather(*(pool.invoke("wake", {"together": 4}) for _ in range(4)))
            assert {result.status for result in results} == {"succeeded"}
            template = processes()
            await asyncio.to_thread(eventually, lambda: len(alive(template)) == 2)
            return alive(template), await pool.invoke("wake", {"together": 1})

        left, result = self.run(scenario, Pool([function("wake")], environ, tmp_path, idle_s=0.2))
        assert (len(left), result.status) == (2, "succeeded")

    def test_rare_function_is_started_by_its_first_invocation(
        self, tmp_path: Path, environ: dict[str, str], processes: Callable[[], set[int]]
    ) -> None:
        async def scenario(pool: Pool, notices: list[str]) -> InvocationResult:
            assert not processes()
            await asyncio.sleep(1.2)
            assert notices == []
            return await pool.invoke("echo", {})

        rare = replace(function("echo"), rare=True)
        assert self.run(scenario, Pool([rare], environ, tmp_path)).status == "succeeded"

    def test_rare_function_that_was_never_invoked_costs_nothing_to_close(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        async def scenario(_: Pool, __: list[str]) -> None:
            pass

        self.run(scenario, Pool([replace(function("missing"), rare=True)], environ, tmp_path))

    def test_later_modules_are_imported_before_the_first_invocation(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        async def scenario(pool: Pool, _: list[str]) -> list[Any]:
            return [(await pool.invoke(name, {})).payload for name in ("modules", "bare")]

        both = [replace(function("modules"), later=("sqlite3", "wave")), replace(function("modules"), name="bare")]
        with_later, bare = self.run(scenario, Pool(both, environ, tmp_path))
        assert {"sqlite3", "wave"} <= set(with_later)
        assert not {"sqlite3", "wave"} & set(bare)

    def test_idle_processes_stay_within_their_time(
        self, tmp_path: Path, environ: dict[str, str], processes: Callable[[], set[int]]
    ) -> None:
        async def scenario(pool: Pool, _: list[str]) -> int:
            await asyncio.gather(*(pool.invoke("wake", {"together": 4}) for _ in range(4)))
            await asyncio.sleep(1.2)
            return len(processes())

        assert self.run(scenario, Pool([function("wake")], environ, tmp_path, idle_s=60)) == 5

    def test_template_that_dies_is_said_and_started_again_without_a_request(
        self, tmp_path: Path, environ: dict[str, str], processes: Callable[[], set[int]]
    ) -> None:
        async def scenario(pool: Pool, notices: list[str]) -> str:
            parent = int((await pool.invoke("echo", {})).payload["headers"]["x-parent"])
            os.kill(parent, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: notices)
            await asyncio.to_thread(eventually, processes)
            assert (await pool.invoke("echo", {})).status == "succeeded"
            (notice,) = notices
            return notice

        notice = self.run(scenario, Pool([function("echo")], environ, tmp_path))
        assert notice.startswith("The process of the function 'echo' was killed by signal 9 (Killed). It is started")

    def test_template_that_dies_too_often_ends_the_upkeep(
        self, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(restarts, "MOST", 0)

        async def scenario() -> None:
            async with Pool([function("echo")], environ, tmp_path) as pool:
                parent = int((await pool.invoke("echo", {})).payload["headers"]["x-parent"])
                os.kill(parent, signal.SIGKILL)
                async with asyncio.timeout(DEADLINE_S):
                    await pool.look_after(lambda _: None)

        with pytest.raises(ExceptionGroup) as raised:
            asyncio.run(scenario())
        assert raised.group_contains(FunctionStartError, match=r"^The process of the function 'echo' .* too often; see")


def alive(processes: set[int]) -> set[int]:
    return {pid for pid in processes if runs(pid)}
