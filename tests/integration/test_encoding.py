"""Tests that texts of every script are stored unchanged, and that a database of another encoding is refused."""

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from local import database, doctor
from local.data_folder import StackError, check_database
from shared.db.api.health import load_checks
from shared.db.engine import Database
from shared.names import LocalEnv
from tests.support.council_room import CouncilRoom, DatabaseUrls, answer, body

REPLY = "答え"
LATIN1 = "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"


@pytest.fixture
def latin1(database_urls: DatabaseUrls) -> str:
    """The owner's URL of a database that stores Latin letters only."""
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        owner.execute("DROP DATABASE IF EXISTS latin1 WITH (FORCE)")
        owner.execute(LATIN1)
    return database_urls.owner.rpartition("/")[0] + "/latin1"


def test_text_of_any_script_is_stored_with_any_client_encoding(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    room.provider.enqueue(answer(REPLY))
    turn = body(room.take("@writer 質問", runner=room.runner(db=room.open_database())))
    with psycopg.connect(room.owner_url, client_encoding="utf8", row_factory=dict_row) as owner:
        stored = owner.execute("SELECT t.message, r.text FROM turns t JOIN replies r ON r.turn_id = t.id").fetchall()
    assert (turn["replies"][0]["text"], stored) == (REPLY, [{"message": "@writer 質問", "text": REPLY}])


def test_a_database_of_another_encoding_fails_its_check(latin1: str) -> None:
    urls = database.prepare(latin1)
    db = Database(urls.app)
    assert load_checks(db)["database"] == "failing: the database has the encoding LATIN1, needs UTF8"
    db.close()


def test_a_database_of_another_encoding_is_told_by_the_doctor(latin1: str, tmp_path: Path) -> None:
    database.prepare(latin1)
    lines: list[str] = []
    environ = {LocalEnv.DATA_DIR.value: str(tmp_path), "PANTHEON_OPS_DATABASE_URL": database.role_urls(latin1).ops}
    assert not doctor.examine(environ, lines.append)
    assert "BROKEN  encoding LATIN1; texts of some scripts cannot be stored" in lines


def test_pantheon_does_not_start_on_a_database_of_another_encoding(latin1: str) -> None:
    with pytest.raises(StackError, match=r"has the encoding LATIN1\. Make one with ENCODING 'UTF8'"):
        check_database(latin1)
