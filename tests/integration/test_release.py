"""Tests the migration of a release on a server like RDS: its owner is no superuser, and `rds_iam` exists."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import migrations
from functions.migrate.handler import handler
from local import postgres
from migrations.release import MigrationError, Release, bring_up
from shared.db.schema.tables import MIGRATION_HEAD
from shared.names import Env, Role
from shared.settings import migration_settings
from tests.support.council_room import DatabaseUrls

OWNER, PASSWORD = "pantheon_owner", "with/odd:characters@and%more"
PLENTY = 300.0


class Context:
    aws_request_id = "request"
    function_name = "migrate"

    def get_remaining_time_in_millis(self) -> int:
        return int(PLENTY * 1000)


@pytest.fixture(scope="module")
def rds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A server with the roles of RDS."""
    with postgres.start(tmp_path_factory.mktemp("rds"), settings={"fsync": "off"}) as server:
        with psycopg.connect(server.url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE rds_iam")
            superuser.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                    sql.Identifier(OWNER), sql.Literal(PASSWORD)
                )
            )
            superuser.execute(f"GRANT rds_iam TO {OWNER} WITH ADMIN OPTION".encode())
            superuser.execute(f"CREATE DATABASE pantheon OWNER {OWNER}".encode())
        yield server


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A Secrets Manager with the owner's secret, and the requests to it."""
    asked: list[Any] = []

    class Secrets(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers["X-Amz-Target"], json.loads(body)))
            answer = json.dumps({"SecretString": json.dumps({"username": OWNER, "password": PASSWORD})}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Secrets) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield asked
        server.shutdown()
        thread.join()


def test_the_function_becomes_the_owner_migrates_and_lets_the_roles_in(
    rds: postgres.Server, secrets: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Env.OWNER_DATABASE_URL, f"postgresql://127.0.0.1:{rds.port}/pantheon?sslmode=prefer")
    monkeypatch.setenv(Env.OWNER_SECRET_ARN, "arn:of:the:secret")
    migration_settings.cache_clear()
    try:
        assert handler({}, Context()) == {"found": None, "left": MIGRATION_HEAD}
        assert handler({}, Context()) == {"found": MIGRATION_HEAD, "left": MIGRATION_HEAD}
    finally:
        migration_settings.cache_clear()
    assert secrets[0] == ("secretsmanager.GetSecretValue", {"SecretId": "arn:of:the:secret"})
    with psycopg.connect(rds.url.removesuffix("postgres") + "pantheon") as superuser:
        members = """SELECT m.rolname FROM pg_auth_members JOIN pg_roles m ON m.oid = member
            JOIN pg_roles r ON r.oid = roleid WHERE r.rolname = 'rds_iam'"""
        assert {row[0] for row in superuser.execute(members)} == {OWNER, *Role}
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert superuser.execute(owners).fetchall() == [(OWNER,)]


def test_elsewhere_there_is_no_role_to_become_a_member_of(empty_database: DatabaseUrls) -> None:
    assert bring_up(empty_database.owner, lambda: PLENTY) == Release(None, MIGRATION_HEAD)


def test_a_database_that_is_ahead_is_left_alone(empty_database: DatabaseUrls) -> None:
    """A rollback runs the migration of the release before on the schema of the one after."""
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner, autocommit=True) as owner:
        owner.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
        assert bring_up(empty_database.owner, lambda: PLENTY) == Release("of tomorrow", "of tomorrow")
        assert owner.execute("SELECT version_num FROM alembic_version").fetchone() == ("of tomorrow",)


def test_it_gives_a_lock_up_and_tries_again(empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "50ms")
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner) as busy:
        busy.execute("LOCK TABLE alembic_version")
        pauses = []

        def free_it(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                busy.rollback()

        assert bring_up(empty_database.owner, lambda: PLENTY, free_it).left == MIGRATION_HEAD
    assert len(pauses) == 2


def test_migration_gives_up_before_its_function_is_killed(
    empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "50ms")
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner) as busy:
        busy.execute("LOCK TABLE alembic_version")
        with pytest.raises(MigrationError, match=r"LockNotAvailable \(SQLSTATE 55P03\)"):
            bring_up(empty_database.owner, lambda: 10.0, lambda _: pytest.fail("there was no time"))


def test_failed_migration_leaves_the_schema_and_logs_no_data(empty_database: DatabaseUrls) -> None:
    with psycopg.connect(empty_database.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE turns (secret text)")
        with pytest.raises(MigrationError) as raised:
            bring_up(empty_database.owner, lambda: PLENTY, lambda _: pytest.fail("trying again will not help"))
        assert str(raised.value) == "DuplicateTable (SQLSTATE 42P07)"
        assert raised.value.__cause__ is None
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert owner.execute(tables).fetchall() == [("turns",)]


@pytest.mark.parametrize("path", [Path("env.py"), Path("release.py")], ids=str)
def test_migration_waits_for_a_lock_for_a_bounded_time(path: Path) -> None:
    assert "SET lock_timeout" in (Path(migrations.__file__).parent / path).read_text()
