"""Runs squawk on the SQL that each migration sends: nothing may block or break the release that is serving."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event

import migrations
from tests.support.council_room import DatabaseUrls

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / ".squawk.toml").read_text())
REVISIONS = [
    script.revision
    for script in reversed(
        list(ScriptDirectory.from_config(migrations.config("postgresql://nowhere")).walk_revisions())
    )
]
TIMEOUTS = "SET lock_timeout = '5s'; SET statement_timeout = '10min'"
# The revision of the first release, or None before there is one. Up to it, a migration finds no rows, so it may make an
# index in a transaction.
FIRST_RELEASE: str | None = None
UNRELEASED = REVISIONS if FIRST_RELEASE is None else REVISIONS[: REVISIONS.index(FIRST_RELEASE) + 1]
# Statements that squawk must report, by rule.
PLANTED = {
    "CREATE INDEX turns_user_id_idx ON turns (user_id)": "require-concurrent-index-creation",
    "ALTER TABLE turns ADD COLUMN note text NOT NULL": "adding-required-field",
    "ALTER TABLE turns DROP COLUMN message": "ban-drop-column",
    "ALTER TABLE turns RENAME COLUMN message TO text": "renaming-column",
    "ALTER TABLE turns RENAME TO rounds": "renaming-table",
    "ALTER TABLE turns ADD CONSTRAINT short CHECK (length(message) < 9)": "constraint-missing-not-valid",
    "ALTER TABLE turns ALTER COLUMN turn_index TYPE bigint": "changing-column-type",
    "ALTER TABLE turns ALTER COLUMN user_id SET NOT NULL": "adding-not-nullable-field",
    "DROP TABLE summaries": "ban-drop-table",
}


def squawk(path: Path, statements: Sequence[str], *, in_transaction: bool = True, exclude: str = "") -> str:
    """Return squawk's findings in `statements`, which are written to `path`; an empty text if there are none."""
    path.write_text("".join(f"{statement.strip().rstrip(';')};\n" for statement in statements))
    program = Path(sys.executable).with_name("squawk")
    command: list[str | Path] = [program, "--config", ROOT / ".squawk.toml", "--reporter", "gcc", path]
    if exclude:
        # It replaces the file's configuration.
        command.append(f"--exclude={','.join([*CONFIG['excluded_rules'], exclude])}")
    if not in_transaction:
        command.append("--no-assume-in-transaction")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == int(bool(ran.stdout.strip())), ran.stderr
    return ran.stdout


@pytest.fixture
def sent() -> Iterator[list[tuple[bool, str]]]:
    """Record each statement that is sent, and whether it is in a transaction, without Alembic's queries of its own
    table.
    """
    statements: list[tuple[bool, str]] = []

    def keep(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not parameters and not statement.lstrip().startswith(("SELECT", "CREATE TABLE alembic_version")):
            statements.append((connection.get_isolation_level() != "AUTOCOMMIT", statement))

    event.listen(Engine, "before_cursor_execute", keep)
    yield statements
    event.remove(Engine, "before_cursor_execute", keep)


def test_migrations_do_not_block_or_break_the_serving_release(
    empty_database: DatabaseUrls, sent: list[tuple[bool, str]], tmp_path: Path
) -> None:
    for revision in REVISIONS:
        sent.clear()
        migrations.upgrade(empty_database.owner, revision)
        exclude = "require-concurrent-index-creation" if revision in UNRELEASED else ""
        timeouts = [
            statement for _, statement in sent if statement.startswith(("SET lock_timeout", "SET statement_timeout"))
        ]
        assert len(timeouts) == 2
        for inside in (True, False):
            # The timeouts are set on the connection, so that they hold for all statements.
            statements = [statement for each, statement in sent if each is inside and statement not in timeouts]
            path = tmp_path / f"{revision}.sql"
            assert squawk(path, [*timeouts, *statements], in_transaction=inside, exclude=exclude) == ""
        assert len(sent) > 2


@pytest.mark.parametrize(("statement", "rule"), PLANTED.items())
def test_squawk_finds_blocking_statements(tmp_path: Path, statement: str, rule: str) -> None:
    assert f"warning: {rule} " in squawk(tmp_path / "planted.sql", [TIMEOUTS, statement])


def test_a_migration_without_timeouts_is_found(tmp_path: Path) -> None:
    assert "require-lock-timeout" in squawk(tmp_path / "planted.sql", ["ALTER TABLE turns ADD COLUMN note text"])


def test_index_is_made_concurrently_and_outside_a_transaction(tmp_path: Path) -> None:
    made = [TIMEOUTS, "CREATE INDEX CONCURRENTLY IF NOT EXISTS turns_user_id_idx ON turns (user_id)"]
    assert squawk(tmp_path / "planted.sql", made, in_transaction=False) == ""
    assert "ban-concurrent-index-creation-in-transaction" in squawk(tmp_path / "planted.sql", made)
