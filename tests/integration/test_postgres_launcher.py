"""Tests the embedded PostgreSQL when its processes are killed, or its files and port are moved or taken."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from local import postgres
from local import postgres_access as access
from local import postgres_files as files
from local.postgres import PostgresError, start
from local.process import User
from tests.support.launched import DEADLINE_S, NO_FSYNC, execute, launching, rows, setting, told, wait_for, write_row


def test_a_server_is_the_same_whatever_the_user_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "xx_XX.bogus", "TZ": "Asia/Tokyo", "PGDATA": "/nowhere", "PGPORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with start(tmp_path / "data") as server:
        secret = access.read_secret(tmp_path / "data")
        assert server.url == f"postgresql://postgres:{secret}@127.0.0.1:{server.port}/postgres"
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


def test_rows_survive_a_kill_of_the_postmaster_while_a_backend_lives(tmp_path: Path) -> None:
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


def test_start_removes_the_files_of_an_unfinished_initdb(tmp_path: Path) -> None:
    (tmp_path / "new-abc" / "base").mkdir(parents=True)
    with start(tmp_path, settings=NO_FSYNC):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster", "lock", "pgpass", "server.log"]


def test_a_second_server_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with start(tmp_path, settings=NO_FSYNC) as server:
        log = (tmp_path / "server.log").read_text()
        with pytest.raises(PostgresError) as refused:
            start(tmp_path)
        assert str(refused.value) == f"{tmp_path} is in use by the PostgreSQL server with process id {server.pid}."
        assert execute(server.url, "select 1") == [(1,)]
        assert (tmp_path / "server.log").read_text().startswith(log)


def test_one_of_two_first_starts_at_once_is_refused(tmp_path: Path) -> None:
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


def test_data_directory_that_cannot_be_made_prints_one_line(tmp_path: Path) -> None:
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
