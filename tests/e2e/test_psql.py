"""Tests `pantheon psql`: a shell on the local database whose password no other user sees."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from local.stack import Stack
from shared.db.engine import Row
from tests.support.processes import eventually
from tests.support.stack.tenant import environ

PANTHEON_PSQL = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())", "psql"]
TIMEOUT_S = 60.0


def psql(data_dir: Path, sql: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = environ(data_dir, **variables) | {"PGPASSWORD": "wrong", "PGUSER": "nobody"}
    return subprocess.run(
        PANTHEON_PSQL, env=given, input=sql, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_psql_opens_the_owners_shell_on_the_running_database(stack: Stack) -> None:
    ran = psql(stack.log_dir.parent, "SELECT current_user, count(*) > 0 FROM alembic_version;")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "postgres" in ran.stdout


def test_psql_shows_no_password_in_its_process(stack: Stack, owner: psycopg.Connection[Row]) -> None:
    secret = owner.info.password
    given = environ(stack.log_dir.parent)
    with subprocess.Popen(
        PANTHEON_PSQL, env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        process = Path(f"/proc/{running.pid}")
        eventually(lambda: "--username=postgres" in (process / "cmdline").read_text())
        assert secret not in (process / "cmdline").read_text() + (process / "environ").read_text()


def test_psql_says_how_to_start_a_server_without_one(tmp_path: Path) -> None:
    ran = psql(tmp_path, "")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"pantheon: No PostgreSQL server runs on {tmp_path / 'postgres'}: start `pantheon run` first.\n"
    )


def test_psql_refuses_the_users_own_database() -> None:
    ran = psql(Path(os.devnull), "", database_url="postgresql://owner:s3cret@127.0.0.1/db")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "PANTHEON_DATABASE_URL" in ran.stderr
    assert "s3cret" not in ran.stderr
