"""Tests that the embedded PostgreSQL requires a password, and that other users of the machine cannot read it."""

import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from local import database, postgres
from local import postgres_access as access
from local import postgres_files as files
from local.postgres import Server, start
from shared.names import Role
from tests.support.launched import NO_FSYNC, execute, launching, rows, told, write_row

TRUST = "host all all 127.0.0.1/32 trust\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start(tmp_path_factory.mktemp("access") / "data", settings=NO_FSYNC) as server:
        database.prepare(server.url)
        yield server


def secret_of(server: Server) -> str:
    secret = access.read_secret(server.data_dir)
    assert secret is not None
    return secret


def address(server: Server) -> str:
    return f"postgresql://127.0.0.1:{server.port}/postgres"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("user", [access.OWNER, *Role])
@pytest.mark.parametrize("password", [None, "wrong", "0" * 64])
def test_a_connection_without_the_password_is_refused(server: Server, user: str, password: str | None) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
        psycopg.connect(address(server), user=user, password=password, passfile=os.devnull)


def test_every_role_has_a_password_of_its_own(server: Server) -> None:
    urls = [server.url, *(database.role_url(server.url, role) for role in Role)]
    assert len({urlsplit(url).password for url in urls}) == len(urls)
    for url in urls:
        assert execute(url, "SELECT current_user::text") == [(urlsplit(url).username,)]


def test_rules_refuse_all_but_a_password_on_127_0_0_1(server: Server) -> None:
    query = "SELECT type, database, user_name, address, auth_method, error FROM pg_hba_file_rules ORDER BY rule_number"
    assert execute(server.url, query) == [
        ("host", ["all"], ["all"], "127.0.0.1", "scram-sha-256", None),
        ("host", ["all"], ["all"], "all", "reject", None),
        ("local", ["all"], ["all"], None, "reject", None),
        ("host", ["replication"], ["all"], "all", "reject", None),
        ("local", ["replication"], ["all"], None, "reject", None),
    ]


def test_server_has_no_socket_that_another_user_could_open(server: Server) -> None:
    assert execute(server.url, "SHOW unix_socket_directories") == [("",)]
    with pytest.raises(OSError, match="refused"), socket.socket(socket.AF_INET6) as connection:
        connection.connect(("::1", server.port))


def test_files_and_folders_are_closed_to_other_users(server: Server) -> None:
    folder = server.data_dir
    assert {path.name: mode(path) for path in (folder, *folder.iterdir())} == {
        "data": 0o700,
        "cluster": 0o700,
        "lock": 0o600,
        "pgpass": 0o600,
        "server.log": 0o600,
    }


def test_the_password_is_in_no_command_line_no_environment_no_log_and_no_repr(server: Server) -> None:
    secret = secret_of(server)
    for pid in files.processes_of(server.data_dir / "cluster"):
        for name in ("cmdline", "environ"):
            with suppress(FileNotFoundError, PermissionError):
                assert secret not in Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    assert secret not in (server.data_dir / "server.log").read_text()
    assert secret not in repr(server)


def test_the_server_sees_nothing_of_the_users_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "canary")
    with start(tmp_path, settings=NO_FSYNC) as server:
        assert "canary" not in Path(f"/proc/{server.pid}/environ").read_text()


def test_psql_and_libpq_read_the_password_from_its_file(server: Server) -> None:
    passfile = server.data_dir / access.PASSFILE
    with psycopg.connect(address(server), user=access.OWNER, passfile=str(passfile)) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_the_server_takes_the_hash_that_was_made_here(server: Server) -> None:
    ((stored,),) = execute(server.url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
    method, iterations, _, _ = stored.replace(":", "$").split("$")[:4]
    assert (method, iterations) == ("SCRAM-SHA-256", str(access.ITERATIONS))


def test_the_file_of_the_password_is_closed_before_the_password_is_in_it(tmp_path: Path) -> None:
    access._replace(tmp_path / "pgpass", "secret", None)
    assert mode(tmp_path / "pgpass") == 0o600


def test_another_start_keeps_the_password(tmp_path: Path) -> None:
    with start(tmp_path, settings=NO_FSYNC) as server:
        before = secret_of(server)
    with start(tmp_path, settings=NO_FSYNC) as server:
        assert secret_of(server) == before
        assert postgres.find(tmp_path) == server.url


def test_a_second_process_finds_the_server_with_its_password(tmp_path: Path) -> None:
    with launching(tmp_path) as launcher:
        assert told(launcher)["url"] == postgres.find(tmp_path)
        assert execute(postgres.find(tmp_path) or "", "SELECT 1") == [(1,)]


class TestOfTheReleaseBefore:
    """The earlier server trusted every user of the machine, who could read its files."""

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        with start(tmp_path, settings=NO_FSYNC) as server:
            write_row(server.url)
            execute(server.url, "ALTER ROLE postgres PASSWORD NULL", "SELECT 1")
        (tmp_path / access.PASSFILE).unlink()
        (tmp_path / "cluster" / "pg_hba.conf").write_text(TRUST)
        for path in (tmp_path / "server.log", tmp_path / "lock"):
            path.chmod(0o644)
        tmp_path.chmod(0o755)
        return tmp_path

    def test_next_start_sets_a_password_and_closes_the_files(self, data_dir: Path) -> None:
        with start(data_dir, settings=NO_FSYNC) as server:
            assert rows(server.url) == [(7,)]
            with pytest.raises(psycopg.OperationalError, match="no password supplied"):
                psycopg.connect(server.url.replace(f":{secret_of(server)}@", "@"), passfile=os.devnull)
        opened = [path for path in (data_dir, *data_dir.iterdir()) if mode(path) & 0o077]
        assert opened == []

    def test_next_start_completes_one_that_was_killed(self, data_dir: Path) -> None:
        """The secret was written, but not the password and the rules."""
        (data_dir / access.PASSFILE).write_text(f"127.0.0.1:*:*:postgres:{'5' * 64}\n")
        with start(data_dir, settings=NO_FSYNC) as server:
            assert secret_of(server) == "5" * 64
            assert rows(server.url) == [(7,)]

    def test_rules_that_somebody_loosened_are_written_again(self, tmp_path: Path) -> None:
        start(tmp_path, settings=NO_FSYNC).stop()
        (tmp_path / "cluster" / "pg_hba.conf").write_text(TRUST)
        with start(tmp_path, settings=NO_FSYNC) as server:
            assert execute(server.url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules ORDER BY 1") == [
                ("reject",),
                ("scram-sha-256",),
            ]

    def test_a_server_that_still_runs_is_found_without_a_password(self, data_dir: Path) -> None:
        assert access.url(data_dir, 5432) == "postgresql://postgres@127.0.0.1:5432/postgres"


@as_root
def test_another_user_can_neither_read_the_password_nor_connect(server: Server) -> None:
    """A child process becomes `nobody`, because root's interpreter may be closed to other users."""
    nobody = pwd.getpwnam("nobody")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            os.write(writer, " ".join(tried_by_another_user(server)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told_by_child:
        told_all = told_by_child.read().split()
    os.waitpid(child, 0)
    assert told_all == ["closed", "closed", "closed", "OperationalError"]


def tried_by_another_user(server: Server) -> Iterator[str]:
    for name in (".", access.PASSFILE, "server.log"):
        try:
            os.close(os.open(server.data_dir / name, os.O_RDONLY))
            yield "open"
        except PermissionError:
            yield "closed"
    try:
        psycopg.connect(address(server), user=access.OWNER, passfile=os.devnull)
        yield "connected"
    except psycopg.OperationalError as error:
        yield type(error).__name__
