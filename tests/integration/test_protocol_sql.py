"""The `.sql` files against the migrated schema: a wrong table, column or type is found before anything runs."""

from pathlib import Path

import psycopg
import pytest

import migrations
from shared import db
from shared.db.schema.tables import metadata
from shared.db.statement import load, read_sql
from tests.council_room import DatabaseUrls

FILES = sorted(path.stem for path in (Path(db.__file__).parent / "sql").glob("*.sql"))
PARTS = [(name, part) for name in FILES if "-- part " in read_sql(name) for part in load(name).parts]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=lambda value: getattr(value, "name", value))
def test_postgres_prepares_every_part(owner: psycopg.Connection, name: str, part: object) -> None:
    owner.execute(f"PREPARE part AS {part.text}".encode())  # type: ignore[attr-defined]
    owner.execute("DEALLOCATE part")


def test_no_statement_breaks_when_a_table_gets_another_column(empty_database: DatabaseUrls) -> None:
    """A prepared statement fails for as long as its connection lives if the type of its result changes."""
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner, autocommit=True) as connection:
        for number, (_, part) in enumerate(PARTS):
            connection.execute(f"PREPARE part_{number} AS {part.text}".encode())
        for table in metadata.tables:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN another integer".encode())
        for number, (name, part) in enumerate(PARTS):
            nulls = f"({', '.join(['NULL'] * len(part.params))})" if part.params else ""
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"EXECUTE part_{number}{nulls}".encode())
            except psycopg.errors.FeatureNotSupported as error:
                raise AssertionError(f"{name}.sql, {part.name}") from error
            except psycopg.Error:
                # It cannot do anything with nothing, and came as far as that.
                continue
