"""Tests that PostgreSQL and the local model start again after a kill during turns, and that no turn is lost."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local import postgres, token_file
from shared.db.engine import Row
from tests.e2e.test_cli import PANTHEON
from tests.support.council_room import broken_invariants
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually, family_of, runs
from tests.support.stack.tenant import ENDED, open_client, with_provider

CLIENTS = 4
MESSAGE = "@writer @researcher hello"
PATIENCE_S = 60.0


class Running:
    """`pantheon run` and its printed lines."""

    def __init__(self, environ: dict[str, str], *options: str) -> None:
        self.data_dir = Path(environ["PANTHEON_DATA_DIR"])
        self.lines = list[str]()
        output = subprocess.PIPE
        command = [*PANTHEON, "run", *options]
        self.process = subprocess.Popen(command, env=environ, text=True, stdout=output, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = eventually(lambda: self.printed(r"accepts requests at (\S+)"), PATIENCE_S)
        eventually(lambda: self.printed(r"(curl) "))

    def printed(self, pattern: str) -> str | None:
        found = re.search(pattern, "".join(self.lines))
        return found and found[1]

    def client(self) -> httpx.Client:
        return open_client(self.url, token_file.read(self.data_dir))

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)

    def stop(self) -> int:
        """Stop it. Returns the exit code."""
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        return code


@contextmanager
def running(environ: dict[str, str]) -> Iterator[Running]:
    pantheon = Running(environ)
    try:
        yield pantheon
    finally:
        pantheon.stop()


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def take_turn(client: httpx.Client, number: int, *, later: bool = False) -> str:
    """Post a turn with a key until it is accepted, as a client should. Returns its id. `later` leaves it to the
    worker.
    """
    body = {"title": f"Talk {number}", "agent_keys": ["writer", "researcher"]}

    def made() -> str | None:
        answer = client.post("sessions", json=body)
        return str(answer.json()["id"]) if answer.status_code == 201 else None

    session_id = eventually(made, PATIENCE_S)

    def posted() -> str | None:
        headers = {"Idempotency-Key": f"turn-{number}", **({"Prefer": "respond-async"} if later else {})}
        answer = client.post(f"sessions/{session_id}/turns", json={"message": MESSAGE}, headers=headers)
        return str(answer.json()["id"]) if answer.status_code in (201, 202) else None

    return str(eventually(posted, PATIENCE_S))


def wait_for(client: httpx.Client, turn_id: str) -> str:
    """Return the ended turn. A request may fail while the database starts."""

    def status() -> str | None:
        answer = client.get(f"turns/{turn_id}")
        found = answer.json()["status"] if answer.status_code == 200 else None
        return found if found in ENDED else None

    return str(eventually(status, PATIENCE_S))


def test_no_turn_is_lost_when_postgres_is_killed_under_load(everybodys_provider: FakeProvider, tmp_path: Path) -> None:
    everybodys_provider.clear()
    everybodys_provider.add(moods.hold(), when="You are Researcher,")
    environ = with_provider(everybodys_provider, tmp_path / "data", turn_seconds=30)
    del environ["PANTHEON_ROSTER"]
    before = len(everybodys_provider.rows)
    with running(environ) as pantheon, pantheon.client() as client, ThreadPoolExecutor(CLIENTS) as clients:
        first = postmaster(pantheon.data_dir)
        turns = [clients.submit(take_turn, client, number) for number in range(CLIENTS)]
        # Each turn has its first reply and waits for its second one.
        everybodys_provider.wait_for_requests(before + 2 * CLIENTS, timeout_s=PATIENCE_S)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: pantheon.printed(r"(PostgreSQL runs again) after"), PATIENCE_S)
        everybodys_provider.clear()
        everybodys_provider.release()
        with psycopg.connect(owner_url(pantheon), autocommit=True, row_factory=dict_row) as owner:
            # A worker takes a turn when the lease of the process that ran it has run out.
            expire_leases(owner)
            assert {wait_for(client, turn.result()) for turn in turns} == {"completed"}
            (counted,) = owner.execute("SELECT count(*) AS turns FROM turns WHERE status = 'completed'").fetchall()
            assert counted == {"turns": CLIENTS}
            eventually(lambda: broken_invariants(owner) == {})
            charged = "SELECT call_id FROM usage_ledger WHERE reason = 'reply' GROUP BY 1 HAVING count(*) > 1"
            assert owner.execute(charged).fetchall() == []
        assert postmaster(pantheon.data_dir) != first
        assert pantheon.printed(r"notice  (PostgreSQL was killed by signal 9 \(Killed\)\. It is started again\.)")
        assert pantheon.process.poll() is None


def owner_url(pantheon: Running) -> str:
    return str(postgres.find(pantheon.data_dir / "postgres"))


def expire_leases(owner: psycopg.Connection[Row]) -> None:
    owner.execute("UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE status = 'running'")


def test_stack_stops_with_a_line_when_postgres_dies_too_often(tmp_path: Path) -> None:
    environ = with_scripted(tmp_path / "data")
    with running(environ) as pantheon:
        cluster = pantheon.data_dir / "postgres" / "cluster"
        (cluster / "PG_VERSION").write_text("1\n")
        os.kill(postmaster(pantheon.data_dir), signal.SIGKILL)
        processes = family_of(pantheon.process.pid)
        assert pantheon.process.wait(PATIENCE_S) == 1
        assert not any(map(runs, processes))
    text = "".join(pantheon.lines)
    assert text.count("PostgreSQL did not start: ") == 5
    assert re.search(r"^pantheon: PostgreSQL died too often within 10 minutes; see .*server\.log\.$", text, re.M)


@pytest.mark.parametrize("function", ["turns", "worker"])
def test_process_of_a_function_that_is_killed_is_said_and_runs_again(tmp_path: Path, function: str) -> None:
    with running(with_scripted(tmp_path / "data")) as pantheon, pantheon.client() as client:
        (template,) = (pid for pid in family_of(pantheon.process.pid) if f"functions.{function}." in title(pid))
        os.kill(template, signal.SIGKILL)
        eventually(lambda: pantheon.printed(rf"notice  (The process of the function '{function}' was killed)"))
        assert wait_for(client, take_turn(client, 1)) == "completed"


def test_local_model_that_is_killed_runs_again_at_its_address_and_answers(tmp_path: Path) -> None:
    environ = with_scripted(tmp_path / "data") | {"PANTHEON_LLM_PROVIDER": "local", "PANTHEON_MAX_CALL_S": "60"}
    with running(environ) as pantheon, pantheon.client() as client:
        (server,) = (pid for pid in family_of(pantheon.process.pid) if "model_server" in title(pid))
        with ThreadPoolExecutor() as clients:
            turn = clients.submit(take_turn, client, 1, later=True)
            eventually(lambda: "slot launch_slot_" in (pantheon.data_dir / "log" / "model.log").read_text())
            os.kill(server, signal.SIGKILL)
            eventually(lambda: pantheon.printed(r"(The local model runs again) after"), PATIENCE_S)
            assert wait_for(client, turn.result()) in ENDED
        turn_id = take_turn(client, 2, later=True)
        assert wait_for(client, turn_id) == "completed"
        second = client.get(f"turns/{turn_id}").json()
        assert all(reply["text"] for reply in second["replies"])


def with_scripted(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    return kept | {"PANTHEON_PORT": "0", "PANTHEON_DATA_DIR": str(data_dir), "PANTHEON_LLM_PROVIDER": "scripted"}


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
