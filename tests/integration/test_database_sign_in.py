"""Tests a function's sign-in on AWS: a token as the password, over TLS that verifies the server.

The server accepts one password, as RDS accepts one signature. The credentials for the signature are at Lambda's own
address.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from local import postgres
from local import postgres_files as files
from shared.aws import database_token as signing
from shared.db.compiler import compiled
from shared.db.engine import Database
from shared.errors import DatabaseUnavailable
from tests.support.tls_front import make_certificate, tls_front

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
WHO = compiled(text("SELECT current_user::text AS role"))
PREPARED = compiled(text("SELECT count(*) AS count FROM pg_prepared_statements"))
AUTHORIZATION = "what Lambda told this process"


@dataclass(frozen=True)
class RDS:
    """`port` speaks TLS, with a certificate of `authority`. `owner_url` bypasses it."""

    owner_url: str
    port: int
    authority: Path


@pytest.fixture(scope="module")
def rds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RDS]:
    """A server that accepts `pantheon_app` by a password only, behind TLS."""
    folder = tmp_path_factory.mktemp("rds")
    cluster, name = folder / "data" / "cluster", "rds_hba.conf"
    with postgres.start(folder / "data", settings={"fsync": "off"}):
        rules = "host all pantheon_app 127.0.0.1/32 password\nhost all postgres 127.0.0.1/32 scram-sha-256\n"
        (cluster / name).write_text(rules)
    within = files.data_argument(cluster, files.server_user(cluster))
    with postgres.start(folder / "data", settings={"fsync": "off", "hba_file": f"{within}/{name}"}) as server:
        certificate, key = make_certificate(folder, "rds")
        with tls_front(server.port, certificate, key) as port:
            yield RDS(server.url, port, certificate)


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The address at which Lambda gives credentials to a restored snapshot, and the requests to it."""
    asked: list[str] = []

    class Credentials(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            answer = {"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "session", "Expiration": "later"}
            body = json.dumps(answer).encode()
            self.send_response(200 if self.headers["Authorization"] == AUTHORIZATION else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Credentials) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION)
        yield asked
        server.shutdown()
        thread.join()


@pytest.fixture
def url(rds: RDS, handed_out: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of `pantheon_app`, whose password is the token of the present moment."""
    monkeypatch.setattr(signing, "datetime", Mock(now=lambda _: NOW))
    token = signing.database_token("127.0.0.1", rds.port, "pantheon_app", "eu-central-1")
    handed_out.clear()
    with psycopg.connect(rds.owner_url, autocommit=True) as superuser:
        superuser.execute("DROP ROLE IF EXISTS pantheon_app")
        superuser.execute(sql.SQL("CREATE ROLE pantheon_app LOGIN PASSWORD {}").format(sql.Literal(token)))
    verified = f"sslmode=verify-full&sslrootcert={rds.authority}"
    return f"postgresql://pantheon_app@127.0.0.1:{rds.port}/postgres?{verified}&iam=eu-central-1"


def test_a_function_signs_in_by_a_token_over_verified_tls(url: str, handed_out: list[str]) -> None:
    database = Database(url)
    assert handed_out == []
    assert database.run(None, WHO, {}) == [{"role": "pantheon_app"}]
    database.run(None, WHO, {})
    assert handed_out == [AUTHORIZATION]
    database.close()


def test_each_connection_has_a_token_of_its_own(url: str, handed_out: list[str]) -> None:
    database = Database(url)
    for _ in range(2):
        database.run(None, WHO, {})
        database.close()
    assert len(handed_out) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"iam=eu-central-1": "iam=eu-west-1"}, id="a token of another Region"),
        pytest.param({"&iam=eu-central-1": ""}, id="no token"),
    ],
)
def test_another_signature_is_refused(url: str, wrong: dict[str, str]) -> None:
    for old, new in wrong.items():
        url = url.replace(old, new)
    with pytest.raises(DatabaseUnavailable):
        Database(url).run(None, WHO, {})


def test_a_server_that_another_authority_signed_for_is_refused(rds: RDS, url: str, tmp_path: Path) -> None:
    """The client does not send it the token."""
    other, _ = make_certificate(tmp_path, "other")
    with pytest.raises(DatabaseUnavailable) as refused:
        Database(url.replace(str(rds.authority), str(other))).run(None, WHO, {})
    assert "certificate verify failed" in str(refused.value.__cause__)


def test_without_credentials_the_database_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "somebody else's")
    with pytest.raises(DatabaseUnavailable):
        Database(url).run(None, WHO, {})


@pytest.mark.parametrize(("suffix", "prepared"), [("", 2), ("&prepare=off", 0)], ids=["direct", "behind a proxy"])
def test_connection_prepares_statements_except_behind_a_proxy(url: str, suffix: str, prepared: int) -> None:
    database = Database(url + suffix)
    database.run(None, WHO, {})
    database.run(None, WHO, {})
    (row,) = database.run(None, PREPARED, {})
    assert row["count"] == prepared
    database.close()
