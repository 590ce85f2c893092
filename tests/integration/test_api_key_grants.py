"""Tests the application's rights on its tenant's API keys, and the constraints of their table."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from shared.db.engine import Row
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.names import Role
from tests.support.council_room import DatabaseUrls

KEY = new_key()
INSERT = """INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by)
    VALUES (%(id)s, %(tenant_id)s, 'CI', %(role)s, %(prefix)s, %(key_hash)s, 'user-1')"""


def fields(**changes: object) -> dict[str, object]:
    """The columns of a key of the first tenant, except `changes`."""
    row = {
        "id": uuid4(),
        "tenant_id": "tenant-1",
        "role": "member",
        "prefix": prefix_of(KEY),
        "key_hash": hash_key(KEY),
    }
    return row | changes


@pytest.fixture
def key_id(owner: psycopg.Connection[Row]) -> UUID:
    """A key of the first tenant; the second has one too."""
    owner.execute(INSERT, row := fields())
    owner.execute(INSERT, fields(tenant_id="tenant-2", key_hash=hash_key(new_key())))
    assert isinstance(row["id"], UUID)
    return row["id"]


@pytest.fixture
def app(app_url: str) -> Iterator[psycopg.Connection[Row]]:
    """The application's role, in a transaction of the first tenant."""
    with psycopg.connect(app_url, row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'tenant-1', true)")
        yield connection
        connection.rollback()


def test_the_application_sees_and_revokes_its_tenants_keys(app: psycopg.Connection[Row], key_id: UUID) -> None:
    assert app.execute("SELECT id FROM api_keys").fetchall() == [{"id": key_id}]
    assert app.execute("UPDATE api_keys SET revoked_at = now()").rowcount == 1
    assert app.execute("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())").rowcount == 1


def test_the_application_cannot_take_a_revocation_back(app: psycopg.Connection[Row], key_id: UUID) -> None:
    app.execute("UPDATE api_keys SET revoked_at = now()")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("UPDATE api_keys SET revoked_at = NULL")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT key_hash FROM api_keys",
        "SELECT * FROM api_keys",
        "SELECT id FROM api_keys WHERE key_hash = sha256('')",
        "INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by) "
        "SELECT gen_random_uuid(), 'tenant-1', '', 'admin', 'pan_abcdefgh', sha256(''), '' RETURNING key_hash",
        "INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by, last_used_at) "
        "SELECT gen_random_uuid(), 'tenant-1', '', 'admin', 'pan_abcdefgh', sha256(''), '', now()",
        "INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by, created_at) "
        "SELECT gen_random_uuid(), 'tenant-1', '', 'admin', 'pan_abcdefgh', sha256(''), '', now()",
        "UPDATE api_keys SET role = 'admin'",
        "UPDATE api_keys SET created_by = 'user-2'",
        "UPDATE api_keys SET expires_at = NULL",
        "UPDATE api_keys SET last_used_at = now()",
        "UPDATE api_keys SET key_hash = sha256('')",
        "UPDATE api_keys SET tenant_id = 'tenant-2'",
        "UPDATE api_keys SET name = ''",
        "DELETE FROM api_keys",
        "TRUNCATE api_keys",
    ],
)
@pytest.mark.usefixtures("key_id")
def test_the_application_reads_no_hash_and_changes_nothing_else(app: psycopg.Connection[Row], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table api_keys"):
        app.execute(statement.encode())


@pytest.fixture
def operations(database_urls: DatabaseUrls) -> Iterator[psycopg.Connection[Row]]:
    with psycopg.connect(database_urls.of(Role.OPS), row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_operations_see_only_keys_that_ended_90_days_ago(
    owner: psycopg.Connection[Row], operations: psycopg.Connection[Row], key_id: UUID, column: str
) -> None:
    def end(ago: str) -> None:
        owner.execute(f"UPDATE api_keys SET {column} = now() - %s::interval WHERE id = %s".encode(), (ago, key_id))

    for ago in ("0", "89 days"):
        end(ago)
        assert operations.execute("SELECT id FROM api_keys").fetchall() == []
        assert operations.execute("DELETE FROM api_keys").rowcount == 0
        operations.rollback()
    end("91 days")
    assert operations.execute("SELECT id FROM api_keys").fetchall() == [{"id": key_id}]
    assert operations.execute("DELETE FROM api_keys").rowcount == 1


@pytest.mark.parametrize("column", ["name", "created_by", "key_hash", "prefix", "tenant_id"])
def test_operations_read_nothing_that_a_key_says(operations: psycopg.Connection[Row], column: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operations.execute(f"SELECT {column} FROM api_keys".encode())


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"role": "operator"}, "api_keys_role_check"),
        ({"role": ""}, "api_keys_role_check"),
        ({"prefix": KEY}, "api_keys_prefix_check"),
        ({"prefix": KEY[4:16]}, "api_keys_prefix_check"),
        ({"key_hash": KEY.encode()}, "api_keys_key_hash_check"),
        ({"key_hash": hash_key(KEY)[:-1]}, "api_keys_key_hash_check"),
    ],
)
def test_the_table_takes_no_other_role_and_no_key_for_its_prefix_or_hash(
    app: psycopg.Connection[Row], changes: dict[str, object], constraint: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        app.execute(INSERT, fields(**changes))


def test_one_key_is_one_row_even_across_tenants(app: psycopg.Connection[Row], key_id: UUID) -> None:
    app.execute("SELECT set_config('app.tenant_id', 'tenant-3', true)")
    with pytest.raises(psycopg.errors.UniqueViolation, match="api_keys_key_hash_key"):
        app.execute(INSERT, fields(tenant_id="tenant-3"))
