"""Prepares the statements on the migrated schema, to find a wrong table, column or type before anything runs."""

import psycopg
import pytest

import migrations
from shared.db.schema.tables import metadata
from shared.db.statement import load, read_sql
from tests.support.council_room import DatabaseUrls
from tests.support.known_statements import FILES, of_files, of_local, of_modules, of_usage

PARTS = [(name, part) for name in FILES if "-- part " in read_sql(name) for part in load(name).parts]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=lambda value: getattr(value, "name", value))
def test_postgres_prepares_every_part(owner: psycopg.Connection, name: str, part: object) -> None:
    owner.execute(f"PREPARE part AS {part.text}".encode())  # type: ignore[attr-defined]
    owner.execute("DEALLOCATE part")


def test_statements_name_the_schema_of_each_table(owner: psycopg.Connection) -> None:
    """A search_path of a role or connection, or a temporary table, must not replace our tables."""
    statements = [*of_files(), *of_modules(), *of_usage(), *of_local()]
    assert len(statements) > 200
    unnamed = []
    with owner.transaction(force_rollback=True):
        owner.execute("SET LOCAL search_path = ''")
        for name, text in statements:
            try:
                with owner.transaction(force_rollback=True):
                    owner.execute(f"PREPARE each AS {text}".encode())
                    owner.execute("DEALLOCATE each")
            except psycopg.Error as error:
                unnamed.append((name, str(error)))
    assert unnamed == []


@pytest.mark.parametrize("path", ["''", "odd, pg_catalog", "pg_temp, public"])
def test_the_functions_of_the_schema_find_their_tables_by_any_search_path(owner: psycopg.Connection, path: str) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute("CREATE SCHEMA odd")
        owner.execute("CREATE TABLE odd.turns (created_at timestamptz)")
        owner.execute("CREATE TEMP TABLE turns (created_at timestamptz)")
        owner.execute(f"SET LOCAL search_path = {path}".encode())
        newest = "SELECT public.nth_newest_turn_at('tenant-1', '-infinity', 1) IS NULL AS none"
        assert [dict(row) for row in owner.execute(newest)] == [{"none": True}]
        with pytest.raises(psycopg.Error, match="too much") as raised, owner.transaction():
            owner.execute("SELECT public.refuse('PN001', 'too much')")
        assert raised.value.sqlstate == "PN001"


def test_no_statement_breaks_when_a_table_gets_another_column(empty_database: DatabaseUrls) -> None:
    """A prepared statement fails for the lifetime of its connection if the type of its result changes."""
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
                # The statement fails for lack of values, which happens after the check of its result type.
                continue
