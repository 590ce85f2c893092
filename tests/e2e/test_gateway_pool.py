import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.gateway.pool import Function, InvocationResult, Pool
from local.gateway.server import Gateway, reserve
from local.gateway.template import FunctionStartError
from local.gateway.tokens import TokenKey
from local.gateway.worker import MAX_PAYLOAD
from tests.processes import DEADLINE_S, eventually, family_of, runs

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


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "marks").mkdir()
    return {"PYTHONPATH": str(HERE), "MARKS": str(tmp_path / "marks")}


@pytest.fixture
def marks(environ: dict[str, str]) -> Path:
    return Path(environ["MARKS"])


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
        assert (too_long.status, too_long.payload["errorType"]) == ("failed", "ResponseSizeTooLarge")
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


class TestGateway:
    """The pool behind HTTP: what becomes of each fate of an invocation."""

    @pytest.fixture
    def key(self, tmp_path: Path) -> TokenKey:
        return TokenKey.load_or_create(tmp_path)

    @pytest.fixture
    def client(self, key: TokenKey, tmp_path: Path, environ: dict[str, str]) -> Iterator[httpx.Client]:
        functions = (
            Function("api", "gateway_handlers:by_path", DEADLINE_S),
            Function("turns", "gateway_handlers:hang", 0.2),
        )
        with reserve(0) as listener:
            gateway = Gateway(listener, functions, environ, key, tmp_path, rest)
            gateway.start()
            headers = {"Authorization": f"Bearer {key.issue('acme', 'ada', ['member'], timedelta(hours=1))}"}
            url = f"http://127.0.0.1:{gateway.port}"
            with httpx.Client(base_url=url, headers=headers, timeout=DEADLINE_S) as client:
                yield client
            gateway.stop()

    def test_an_invocation_over_its_time_is_killed_and_answered_503(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.post("/api/v1/sessions/x/turns")
        assert (response.status_code, response.json()) == UNAVAILABLE
        assert not runs(pid_in(marks / "hanging"))
        report = json.loads((tmp_path / "turns.log").read_text().splitlines()[-1])
        assert report["record"]["status"] == "timed_out"

    def test_a_process_that_ends_in_mid_invocation_is_503_and_the_next_one_is_served(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.get("/die")
        assert (response.status_code, response.json()) == UNAVAILABLE
        assert not runs(pid_in(marks / "dying"))
        assert "last words\n" in (tmp_path / "api.log").read_text()
        assert client.get("/echo").status_code == 200

    def test_a_process_killed_from_outside_is_503_and_the_next_one_is_served(
        self, client: httpx.Client, marks: Path
    ) -> None:
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(client.get, "/hang")
            os.kill(pid_in(marks / "hanging"), signal.SIGKILL)
            response = answer.result()
        assert (response.status_code, response.json()) == UNAVAILABLE
        assert client.get("/echo").status_code == 200

    def test_a_handler_that_raises_is_500_without_its_words_and_lives_on(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.get("/fail")
        assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})
        assert int(client.get("/echo").headers["x-pid"]) == pid_in(marks / "failing")
        assert "the handler's own secret" in (tmp_path / "api.log").read_text()

    def test_sixteen_invocations_run_at_the_same_time_each_in_its_process(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor(16) as threads:
            responses = list(threads.map(client.get, ["/meet"] * 16))
        assert {response.status_code for response in responses} == {200}
        assert len({response.headers["x-pid"] for response in responses}) == 16

    def test_a_process_serves_one_invocation_at_a_time(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor(8) as threads:
            responses = list(threads.map(client.get, ["/alone"] * 200))
        assert {response.status_code for response in responses} == {200}
        assert len({response.headers["x-pid"] for response in responses}) <= 8

    def test_the_process_that_was_busy_last_is_used_first(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(client.get, ["/meet"] * 16))
        assert len({client.get("/echo").headers["x-pid"] for _ in range(8)}) == 1

    def test_a_client_that_leaves_does_not_stop_the_invocation(self, client: httpx.Client, marks: Path) -> None:
        with pytest.raises(httpx.ReadTimeout):
            client.get("/finish", timeout=0.5)
        (marks / "go").touch()
        eventually((marks / "finished").exists)

    def test_a_worker_ignores_ctrl_c(self, client: httpx.Client) -> None:
        pid = int(client.get("/echo").headers["x-pid"])
        os.kill(pid, signal.SIGINT)
        assert int(client.get("/echo").headers["x-pid"]) == pid


SERVE = """
import asyncio, sys
from pathlib import Path
from local.gateway.pool import Function
from local.gateway.server import Gateway, reserve
from local.gateway.tokens import TokenKey

async def rest(pool):
    await asyncio.Event().wait()

marks, log_dir, handlers = sys.argv[1:]
functions = [Function(name, "gateway_handlers:by_path", 60) for name in ("api", "turns")]
environ = {"PYTHONPATH": handlers, "MARKS": marks}
key = TokenKey.load_or_create(Path(log_dir))
gateway = Gateway(reserve(0), functions, environ, key, Path(log_dir), rest)
gateway.start()
print(gateway.port, flush=True)
gateway.wait()
"""


@pytest.fixture
def gateway_alone(marks: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVE, str(marks), str(tmp_path), str(HERE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_gateway_that_is_killed_leaves_no_process(gateway_alone: subprocess.Popen[str], marks: Path) -> None:
    assert gateway_alone.stdout is not None
    url = f"http://127.0.0.1:{gateway_alone.stdout.readline().strip()}"
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(httpx.get, f"{url}/hang", timeout=DEADLINE_S)
        busy = pid_in(marks / "hanging")
        idle = int(httpx.get(f"{url}/echo").headers["x-pid"])
        processes = family_of(gateway_alone.pid)
        # The gateway, two templates and two workers.
        assert len(processes) == 5
        assert {busy, idle} < processes
        gateway_alone.kill()
        with pytest.raises(httpx.TransportError):
            answer.result()
    eventually(lambda: not any(map(runs, processes)))
