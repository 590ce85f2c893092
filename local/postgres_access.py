"""Set the access rules and the owner's password of the local PostgreSQL server.

Only roles with a password connect, over TCP on 127.0.0.1. The owner's password is random, in a file that only its user
can read. No child process and no log gets it.
"""

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local import private, process
from local.postgres_files import PostgresError
from local.process import User

OWNER: Final = "postgres"
# In libpq's format, so that psql can read it by PGPASSFILE.
PASSFILE: Final = "pgpass"
# More iterations slow down guessing, which 256 random bits do not need. They would add 5 ms to a connection.
ITERATIONS: Final = 1
_RULES: Final = """\
# Pantheon writes this file when it starts the server.
host    all          all  127.0.0.1/32  scram-sha-256
host    all          all  all           reject
local   all          all                reject
host    replication  all  all           reject
local   replication  all                reject
"""
_BEFORE_SECRET: Final = f"127.0.0.1:*:*:{OWNER}:"


def url(data_dir: Path, port: int) -> str:
    """Return the owner's URL. A server that an earlier release started has no password until its next start."""
    secret = read_secret(data_dir)
    user = f"{OWNER}:{secret}" if secret else OWNER
    return f"postgresql://{user}@127.0.0.1:{port}/postgres"


def read_secret(data_dir: Path) -> str | None:
    """Return the owner's password, None before it is set. Raises OSError."""
    try:
        line = (data_dir / PASSFILE).read_text()
    except FileNotFoundError:
        return None
    return line.removeprefix(_BEFORE_SECRET).strip() or None


def secure(data_dir: Path, programs: Path, user: User | None, arguments: Sequence[str | Path]) -> None:
    """Set the owner's password and rules that require it. Call it while no server runs on `data_dir`.

    `arguments` name the cluster to `postgres`. The rules are written last, so that rules imply a password. Raises
    OSError and PostgresError."""
    cluster = data_dir / "cluster"
    rules, secret = cluster / "pg_hba.conf", read_secret(data_dir)
    if secret and rules.read_text() == _RULES:
        return
    if secret is None:
        secret = secrets.token_hex(32)
        _replace(data_dir / PASSFILE, f"{_BEFORE_SECRET}{secret}\n", None)
    _set_password(cluster, verifier(secret), programs, user, arguments)
    _replace(rules, _RULES, user)


def verifier(secret: str) -> str:
    """Return the hash of a password that PostgreSQL stores, by RFC 5803."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    in_text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return "SCRAM-SHA-256${}:{}${}:{}".format(ITERATIONS, *in_text)


def _set_password(
    cluster: Path, hashed: str, programs: Path, user: User | None, arguments: Sequence[str | Path]
) -> None:
    """Set the password in single-user mode, so that no client can connect before."""
    command = [programs / "postgres", "--single", *arguments, "-c", "exit_on_error=true", "postgres"]
    with tempfile.TemporaryFile() as statement, tempfile.TemporaryFile() as output:
        statement.write(f"ALTER ROLE {OWNER} PASSWORD '{hashed}'\n".encode())
        statement.seek(0)
        session = process.spawn(command, output=output, cwd=cluster, user=user, stdin=statement)
        with process.ended_on_error(session):
            code = session.wait()
        if code != 0:
            output.seek(0)
            said = output.read().decode(errors="replace").split("\n")
            raise PostgresError(f"The password of {cluster.parent} cannot be set: {' '.join(said[-3:]).strip()}")


def _replace(path: Path, text: str, user: User | None) -> None:
    """Write the file atomically for `user`, readable only by its owner."""
    part = path.with_name(f"{path.name}.part")
    private.make_file(part)
    part.write_text(text)
    if user is not None:
        os.chown(part, *user)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(path)
