"""Tests kill -9 during a turn: no partial turn is visible, every paid call is kept, and the turn goes on."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from tests.support.council_room import broken_invariants
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually, family_of, runs
from tests.support.stack.tenant import Tenant, open_client, unjournaled_requests, with_provider

PANTHEON_RUN = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())", "run"]
MESSAGE = "@writer @researcher hello"
FAILED = (502, {"message": "Internal server error"})


def worker_of(database_port: int) -> int:
    """Return our process that is connected to the database from this port."""
    connections = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    # Other connections may have the same port here. A closing connection belongs to no process.
    inodes = {fields[9] for fields in connections if int(fields[1].partition(":")[2], 16) == database_port}
    found = {pid for pid in family_of(os.getpid()) for inode in inodes if has_open(pid, f"socket:[{inode}]")}
    (worker,) = found - {os.getpid()}
    return worker


def has_open(pid: int, file: str) -> bool:
    # A process may end or close a file during the search.
    with suppress(OSError):
        return any(str(descriptor.readlink()) == file for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    return False


def assert_first_call_is_safe_and_nothing_is_visible(tenant: Tenant, turn_id: str) -> None:
    """Check a turn whose second call was sent when its process died."""
    assert tenant.rows("SELECT * FROM replies WHERE turn_id = %s", turn_id) == []
    assert tenant.rows("SELECT * FROM audit_events WHERE turn_id = %s", turn_id) == []
    turn = tenant.row("SELECT status, response FROM turns WHERE id = %s", turn_id)
    assert turn == {"status": "running", "response": None}
    first, second = tenant.calls(turn_id)
    assert (first["status"], first["verdict"], first["account"]) == ("succeeded", "reply", None)
    assert first["cost_usd"] > 0
    assert (second["status"], second["verdict"], second["account"]) == ("intent", None, None)


def assert_only_second_call_was_asked_again(tenant: Tenant, turn: dict[str, Any]) -> None:
    calls = tenant.calls(turn["id"])
    assert [(call["step"], call["attempt"], call["status"], call["account"]) for call in calls] == [
        (0, 1, "succeeded", "tenant"),
        (1, 1, "unknown", "suspense"),
        (1, 2, "succeeded", "tenant"),
    ]
    assert calls[1]["amount_usd"] == calls[1]["reserve_usd"]
    assert [request.client_request_id for request in tenant.requests] == [str(call["call_id"]) for call in calls]
    assert (turn["status"], [reply["status"] for reply in turn["replies"]]) == ("completed", ["completed"] * 2)


class TestKilledFunction:
    def test_client_gets_503_and_the_worker_goes_on_when_the_function_is_killed(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold(), when="You are Researcher,")
        with ThreadPoolExecutor() as threads:
            posted = threads.submit(tenant.post, session_id, MESSAGE, key="once")
            tenant.wait_for_requests(2)
            os.kill(worker_of(port_of_last_query(tenant)), signal.SIGKILL)
            answer = posted.result()
        assert (answer.status_code, answer.json()) == FAILED
        turn_id = str(tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)["id"])
        assert_first_call_is_safe_and_nothing_is_visible(tenant, turn_id)
        # The key returns the turn, and the session takes no other one until it has ended.
        found = tenant.post(session_id, MESSAGE, key="once")
        assert (found.status_code, found.json()["id"], found.json()["steps_finished"]) == (202, turn_id, 1)
        assert tenant.post(session_id, "me too").status_code == 409

        tenant.expire_lease(turn_id)
        turn = tenant.wait_for(turn_id)
        assert_only_second_call_was_asked_again(tenant, turn)
        replayed = tenant.post(session_id, MESSAGE, key="once")
        assert (replayed.status_code, replayed.json()) == (201, turn)
        assert tenant.http.get(f"turns/{turn_id}").content == replayed.content


def port_of_last_query(tenant: Tenant) -> int:
    """Return the local port of the function that queried the database last."""
    query = "SELECT client_port FROM pg_stat_activity WHERE usename = 'pantheon_app' ORDER BY query_start DESC LIMIT 1"
    port: int = tenant.row(query)["client_port"]
    return port


class TestKilledRun:
    @pytest.fixture
    def environ(self, provider: FakeProvider, tmp_path: Path) -> dict[str, str]:
        return with_provider(provider, tmp_path / "data")

    @pytest.fixture
    def running(self, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(PANTHEON_RUN, env=environ, text=True, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()

    def test_killed_run_leaves_no_process_and_the_next_run_ends_the_turn(
        self, environ: dict[str, str], running: subprocess.Popen[str], provider: FakeProvider
    ) -> None:
        url, token = address_and_token(running)
        provider.add(moods.hold(), when="You are Researcher,")
        with open_client(url, token) as http, ThreadPoolExecutor() as threads:
            session_id = http.get("sessions").json()["items"][0]["id"]
            before = len(provider.rows)
            posted = threads.submit(http.post, f"sessions/{session_id}/turns", json={"message": MESSAGE})
            provider.wait_for_requests(before + 2, timeout_s=20)
            processes = family_of(running.pid)
            running.kill()
            with pytest.raises(httpx.TransportError):
                posted.result()
        # PostgreSQL, the templates of four functions, and at least two workers.
        assert len(processes) > 7
        eventually(lambda: not any(map(runs, processes)))

        with (
            Stack.start(environ) as stack,
            open_client(stack.url, token) as http,
            psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as owner,
        ):
            tenant = Tenant("demo", http, owner, provider, before)
            (listed,) = http.get(f"sessions/{session_id}/turns").json()["items"]
            assert (listed["status"], listed["steps_finished"]) == ("running", 1)
            assert_first_call_is_safe_and_nothing_is_visible(tenant, listed["id"])
            tenant.expire_lease(listed["id"])
            assert_only_second_call_was_asked_again(tenant, tenant.wait_for(listed["id"]))
            assert unjournaled_requests(tenant) == set()
            assert broken_invariants(owner) == {}


def address_and_token(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Read the address and the token that `pantheon run` prints once it accepts requests."""
    assert process.stdout is not None
    url = token = None
    for line in process.stdout:
        url = url or re.search(r"accepts requests at (\S+)", line)
        token = token or re.match(r"Console .*#token=(\S+)", line)
        if url and token:
            return url[1], token[1]
    raise AssertionError("it ended before it accepted requests")
