"""Tests `pantheon doctor` at the command line, with and without a running stack."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from local import database, demo, postgres
from local.stack import Stack
from shared.catalog import build
from shared.db.operations.invariants import INVARIANTS
from shared.db.schema.tables import MIGRATION_HEAD
from shared.roster.file import read_roster
from shared.settings import Settings
from tests.support.stack.tenant import Tenant, environ

PANTHEON_DOCTOR = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())", "doctor"]
TIMEOUT_S = 60.0


def examine(data_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    given = environ(data_dir, **variables)
    return subprocess.run(PANTHEON_DOCTOR, env=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def complaint(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a doctor without a database."""
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("pantheon: ")
    return line


def assert_all_is_well(ended: subprocess.CompletedProcess[str], data_dir: Path | None = None) -> None:
    assert (ended.returncode, ended.stderr) == (0, "")
    printed = ended.stdout.splitlines()
    if data_dir is not None:
        assert printed.pop(0) == f"ok      files of {data_dir} are closed to other users"
    place, migration, counted, *lines = printed
    assert re.fullmatch(r"Looking at the database postgres at 127\.0\.0\.1:\d+\.", place)
    assert migration == f"ok      migration {MIGRATION_HEAD}"
    assert re.fullmatch(r"sessions \d+, turns \d+ \(active \d+\), calls \d+, ledger entries \d+", counted)
    assert lines == [f"ok      {name}" for name in INVARIANTS]


def test_doctor_checks_the_database_of_a_running_stack(stack: Stack, tenant: Tenant, session_id: str) -> None:
    tenant.take(session_id, "@writer @critic hello")
    assert_all_is_well(examine(stack.log_dir.parent), stack.log_dir.parent)


def test_doctor_checks_a_given_database(stack: Stack) -> None:
    assert_all_is_well(examine(Path(os.devnull), database_url=stack.owner_url))
    ops_url = database.role_urls(stack.owner_url).ops
    assert_all_is_well(examine(Path(os.devnull), ops_database_url=ops_url, database_url="not looked at"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a run that has ended."""
    directory = tmp_path_factory.mktemp("over")
    with postgres.start(directory / "postgres") as server:
        catalog = build(Settings.model_construct())
        demo.write_roster(directory / "roster.toml", catalog)
        demo.seed(database.prepare(server.url).app, read_roster(directory / "roster.toml", catalog))
    return directory


class TestWhereNoneRuns:
    def test_doctor_starts_the_database_for_its_checks(self, data_dir: Path) -> None:
        assert_all_is_well(examine(data_dir), data_dir)
        assert postgres.find(data_dir / "postgres") is None

    def test_doctor_ends_with_1_and_prints_the_remedy_for_files_that_others_can_read(self, data_dir: Path) -> None:
        secret = data_dir / "postgres" / "pgpass"
        secret.chmod(0o644)
        ended = examine(data_dir)
        assert (ended.returncode, ended.stderr) == (1, "")
        assert ended.stdout.splitlines()[:3] == [
            f"BROKEN  files of {data_dir} are closed to other users",
            f"          {secret} has mode 0644",
            f"          close them: chmod -R go= {data_dir}",
        ]
        # The start of the server has closed the file meanwhile.
        assert_all_is_well(examine(data_dir), data_dir)

    def test_doctor_ends_with_1_when_something_is_broken(self, data_dir: Path) -> None:
        with postgres.start(data_dir / "postgres") as server:
            with psycopg.connect(server.url, autocommit=True) as owner:
                owner.execute("UPDATE sessions SET next_turn_index = 7")
            # The server runs, and `pantheon run` did not start it.
            beside = examine(data_dir)
            with psycopg.connect(server.url, autocommit=True) as owner:
                owner.execute("UPDATE sessions SET next_turn_index = 1")
        assert (beside.returncode, beside.stderr) == (1, "")
        broken = r"^BROKEN  a session's turns are numbered .*\n +id \S+, next_turn_index 7$"
        assert re.search(broken, beside.stdout, re.MULTILINE)

    def test_doctor_reports_the_schema_of_another_release(self, data_dir: Path) -> None:
        with postgres.start(data_dir / "postgres") as server, psycopg.connect(server.url, autocommit=True) as owner:
            owner.execute("UPDATE alembic_version SET version_num = '0000'")
            beside = examine(data_dir)
            owner.execute("UPDATE alembic_version SET version_num = %s", (MIGRATION_HEAD,))
        assert beside.returncode == 1
        assert beside.stdout.splitlines()[-1] == f"BROKEN  migration 0000; this release needs {MIGRATION_HEAD}"


class TestWhereThereIsNone:
    def test_doctor_complains_without_a_data_directory(self, tmp_path: Path) -> None:
        assert f"There is no database in {tmp_path / 'nothing'}" in complaint(examine(tmp_path / "nothing"))
        assert not (tmp_path / "nothing").exists()

    def test_doctor_complains_about_a_database_without_a_schema(self, stack: Stack, tmp_path: Path) -> None:
        with psycopg.connect(stack.owner_url, autocommit=True) as owner:
            owner.execute("CREATE DATABASE bare")
            line = complaint(examine(tmp_path, database_url=stack.owner_url.removesuffix("postgres") + "bare"))
            owner.execute("DROP DATABASE bare")
        assert line.endswith("The database has no schema yet: start `pantheon run`, which creates it.")

    def test_doctor_complains_about_a_database_that_was_never_prepared(self, tmp_path: Path) -> None:
        with postgres.start(tmp_path / "postgres"):
            assert "The role pantheon_ops is not let into the database: " in complaint(examine(tmp_path))

    def test_doctor_complains_about_a_silent_database_without_its_password(self, tmp_path: Path) -> None:
        url = "postgresql://owner:s3cret@127.0.0.1:1/pantheon"
        line = complaint(examine(tmp_path, database_url=url))
        assert "127.0.0.1:1 cannot be reached" in line
        assert "s3cret" not in line
