"""Tests that a role's change of its own settings breaks an invariant until the next release undoes it."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

import migrations
from local.database import prepare
from migrations.release import bring_up
from shared.db.engine import Database, Row
from shared.db.operations.invariants import load_broken
from shared.names import LONGEST_TRANSACTION, Role
from tests.support.council_room import DatabaseUrls

SETTINGS, OBJECTS = "a role has the settings that a migration gave it", "there is no large object"
KEPT = """SELECT rolname, setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY rolname"""


@pytest.fixture
def owner(empty_database: DatabaseUrls) -> Iterator[psycopg.Connection[Row]]:
    """The owner of a database of the test's own, because settings outlive rows."""
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def ops(owner: psycopg.Connection[Row], empty_database: DatabaseUrls) -> Iterator[Database]:
    database = Database(empty_database.of(Role.OPS))
    yield database
    database.close()


def change(urls: DatabaseUrls, role: Role, setting: str) -> None:
    with psycopg.connect(urls.of(role), autocommit=True) as connection:
        command = f"ALTER ROLE {role} IN DATABASE {connection.info.dbname} {setting}"
        connection.execute(command.encode())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("setting", ["SET search_path = odd", "SET transaction_timeout = 0", "RESET ALL"])
def test_a_role_that_changes_its_settings_breaks_an_invariant_until_the_next_release(
    owner: psycopg.Connection[Row], ops: Database, empty_database: DatabaseUrls, role: Role, setting: str
) -> None:
    given = owner.execute(KEPT).fetchall()
    assert load_broken(ops, SETTINGS, 9, seconds=5) == []
    change(empty_database, role, setting)
    assert [row["role"] for row in load_broken(ops, SETTINGS, 9, seconds=5)] == [role]
    bring_up(empty_database.owner, lambda: 300.0)
    assert load_broken(ops, SETTINGS, 9, seconds=5) == []
    assert owner.execute(KEPT).fetchall() == given


def test_the_settings_of_a_role_are_its_longest_transaction(owner: psycopg.Connection[Row]) -> None:
    kept = {row["rolname"]: row["setconfig"] for row in owner.execute(KEPT)}
    assert kept == {role.value: [f"transaction_timeout={longest}"] for role, longest in LONGEST_TRANSACTION.items()}


def test_local_start_restores_the_settings_of_roles(
    owner: psycopg.Connection[Row], ops: Database, empty_database: DatabaseUrls
) -> None:
    change(empty_database, Role.APP, "SET row_security = off")
    prepare(empty_database.owner)
    assert load_broken(ops, SETTINGS, 9, seconds=5) == []


def test_a_large_object_breaks_an_invariant(owner: psycopg.Connection[Row], ops: Database) -> None:
    assert load_broken(ops, OBJECTS, 9, seconds=5) == []
    made = owner.execute("SELECT lo_create(0) AS oid").fetchall()
    assert [row["oid"] for row in load_broken(ops, OBJECTS, 9, seconds=5)] == [made[0]["oid"]]
