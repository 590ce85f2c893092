"""Tests the answers of the gateway when its processes fail, and that none outlives it."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.gateway.pool import Function
from local.gateway.server import Gateway, reserve
from tests.support.processes import DEADLINE_S, eventually, family_of, runs
from tests.support.stack.misbehaving import AUTHORIZER, FAILED, GOOD, ROOT, pid_in, rest


class TestGateway:
    """The pool behind HTTP: each way in which an invocation can end."""

    @pytest.fixture
    def client(self, tmp_path: Path, environ: dict[str, str]) -> Iterator[httpx.Client]:
        functions = (
            AUTHORIZER,
            Function("api", "tests.support.stack.gateway_handlers:by_path", DEADLINE_S),
            Function("turns", "tests.support.stack.gateway_handlers:hang", 0.2),
        )
        with reserve(0) as listener:
            gateway = Gateway(listener, functions, environ, tmp_path, rest)
            gateway.start()
            url = f"http://127.0.0.1:{gateway.port}/api/v1"
            with httpx.Client(base_url=url, headers=GOOD, timeout=DEADLINE_S) as client:
                yield client
            gateway.stop()

    def test_an_invocation_over_its_time_is_killed_and_answered_502(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.post("/sessions/x/turns")
        assert (response.status_code, response.json()) == FAILED
        assert not runs(pid_in(marks / "hanging"))
        report = json.loads((tmp_path / "turns.log").read_text().splitlines()[-1])
        assert report["record"]["status"] == "timed_out"

    def test_a_process_that_ends_in_mid_invocation_is_502_and_the_next_one_is_served(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.get("/die")
        assert (response.status_code, response.json()) == FAILED
        assert not runs(pid_in(marks / "dying"))
        assert "last words\n" in (tmp_path / "api.log").read_text()
        assert client.get("/echo").status_code == 200

    def test_a_process_killed_from_outside_is_502_and_the_next_one_is_served(
        self, client: httpx.Client, marks: Path
    ) -> None:
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(client.get, "/hang")
            os.kill(pid_in(marks / "hanging"), signal.SIGKILL)
            response = answer.result()
        assert (response.status_code, response.json()) == FAILED
        assert client.get("/echo").status_code == 200

    def test_a_handler_that_raises_is_502_without_its_words_and_lives_on(
        self, client: httpx.Client, marks: Path, tmp_path: Path
    ) -> None:
        response = client.get("/fail")
        assert (response.status_code, response.json()) == FAILED
        assert int(client.get("/echo").headers["x-pid"]) == pid_in(marks / "failing")
        assert "the handler's own secret" in (tmp_path / "api.log").read_text()

    def test_the_log_of_a_function_is_closed_to_other_users(self, client: httpx.Client, tmp_path: Path) -> None:
        assert client.get("/echo").status_code == 200
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.log")} == {0o600}

    def test_an_answer_in_base64_is_502(self, client: httpx.Client) -> None:
        response = client.get("/encoded")
        assert (response.status_code, response.json()) == FAILED

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

async def rest(pool):
    await asyncio.Event().wait()

marks, log_dir, handlers = sys.argv[1:]
handler = {"api": "by_path", "authorizer": "authorize"}
module = "tests.support.stack.gateway_handlers"
functions = [Function(name, f"{module}:{attribute}", 60) for name, attribute in handler.items()]
environ = {"PYTHONPATH": handlers, "MARKS": marks}
gateway = Gateway(reserve(0), functions, environ, Path(log_dir), rest)
gateway.start()
print(gateway.port, flush=True)
gateway.wait()
"""


@pytest.fixture
def gateway_alone(marks: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-c",
        SERVE,
        str(marks),
        str(tmp_path),
        str(ROOT),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_gateway_that_is_killed_leaves_no_process(gateway_alone: subprocess.Popen[str], marks: Path) -> None:
    assert gateway_alone.stdout is not None
    url = f"http://127.0.0.1:{gateway_alone.stdout.readline().strip()}/api/v1"
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(httpx.get, f"{url}/hang", headers=GOOD, timeout=DEADLINE_S)
        busy = pid_in(marks / "hanging")
        idle = int(httpx.get(f"{url}/echo", headers=GOOD).headers["x-pid"])
        processes = family_of(gateway_alone.pid)
        # The gateway, two templates, two workers of `api` and one of the authorizer.
        assert len(processes) == 6
        assert {busy, idle} < processes
        gateway_alone.kill()
        with pytest.raises(httpx.TransportError):
            answer.result()
    eventually(lambda: not any(map(runs, processes)))
