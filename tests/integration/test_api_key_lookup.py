"""Tests the authorizer's lookup of an API key: the valid keys, the rights of its role, and its writes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from shared.db.engine import Database, Row
from shared.db.identity import FIND_API_KEY, ApiKey, find_api_key
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.names import Role
from tests.support.council_room import DEADLINE_S, DatabaseUrls, wait_for
from tests.support.wiretap import Wiretap

KEYS = {name: hash_key(new_key()) for name in ("good", "other")}
COLUMNS = {
    "SELECT": {"id", "tenant_id", "role", "key_hash", "created_by", "expires_at", "last_used_at", "revoked_at"},
    "UPDATE": {"last_used_at"},
}
OF_COLUMNS = ["SELECT", "INSERT", "UPDATE", "REFERENCES"]
OF_TABLES = [*OF_COLUMNS, "DELETE", "TRUNCATE", "TRIGGER", "MAINTAIN"]
PRESENT = "SELECT set_config('app.key_hash', %s, true)"


@pytest.fixture
def auth(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.AUTH))
    yield database
    database.close()


@pytest.fixture
def as_auth(database_urls: DatabaseUrls) -> Iterator[psycopg.Connection[Row]]:
    """The authorizer's role, in a transaction."""
    with psycopg.connect(database_urls.of(Role.AUTH), row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def ids(owner: psycopg.Connection[Row]) -> dict[str, UUID]:
    """Two keys, of two tenants."""
    made = {name: uuid4() for name in KEYS}
    for name, key_id in made.items():
        owner.execute(
            """INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by)
            VALUES (%s, %s, 'CI', 'admin', %s, %s, 'user-1')""",
            (key_id, f"tenant-{name}", prefix_of(new_key()), KEYS[name]),
        )
    return made


def change(owner: psycopg.Connection[Row], setting: str) -> None:
    owner.execute(f"UPDATE api_keys SET {setting} WHERE tenant_id = 'tenant-good'".encode())


def version(owner: psycopg.Connection[Row]) -> tuple[object, ...]:
    """The version of the good key's row, and when it was last used."""
    query = "SELECT xmin::text, last_used_at FROM api_keys WHERE tenant_id = 'tenant-good'"
    (row,) = owner.execute(query).fetchall()
    return tuple(row.values())


def early_in_a_minute(owner: psycopg.Connection[Row]) -> None:
    """Wait until the database's clock is early in a minute."""
    (row,) = owner.execute("SELECT extract(second FROM clock_timestamp())::float8 AS second").fetchall()
    if row["second"] > 50:
        time.sleep(60.1 - row["second"])


@pytest.mark.usefixtures("ids")
class TestGoodKeys:
    def test_a_key_is_found_by_its_hash(self, auth: Database, ids: dict[str, UUID]) -> None:
        assert find_api_key(auth, KEYS["good"]) == ApiKey(ids["good"], "tenant-good", "user-1", "admin")
        assert find_api_key(auth, KEYS["other"]) == ApiKey(ids["other"], "tenant-other", "user-1", "admin")
        assert find_api_key(auth, KEYS["good"]) == ApiKey(ids["good"], "tenant-good", "user-1", "admin")

    @pytest.mark.parametrize(
        "key_hash", [hash_key(new_key()), b"", b"\x00" * 32, KEYS["good"][:-1]], ids=["other", "empty", "zeros", "cut"]
    )
    def test_an_unknown_hash_finds_nothing(self, auth: Database, key_hash: bytes) -> None:
        assert find_api_key(auth, key_hash) is None

    @pytest.mark.parametrize(
        ("setting", "good"),
        [
            ("revoked_at = now()", False),
            ("revoked_at = now() + interval '1 day'", False),
            ("expires_at = now()", False),
            ("expires_at = now() - interval '1 day'", False),
            ("expires_at = now() + interval '1 hour'", True),
            ("expires_at = now() + interval '1 hour', revoked_at = now()", False),
        ],
    )
    def test_revoked_or_expired_key_is_not_found_and_not_marked_as_used(
        self, owner: psycopg.Connection[Row], auth: Database, setting: str, good: bool
    ) -> None:
        change(owner, setting)
        assert (find_api_key(auth, KEYS["good"]) is not None) is good
        assert (version(owner)[1] is not None) is good


@pytest.mark.usefixtures("ids")
class TestRole:
    def test_role_sees_only_the_row_of_the_presented_hash(
        self, as_auth: psycopg.Connection[Row], ids: dict[str, UUID]
    ) -> None:
        seen = "SELECT id FROM api_keys"
        assert as_auth.execute(seen).fetchall() == []
        for name, key_hash in KEYS.items():
            as_auth.execute(PRESENT, (key_hash.hex(),))
            assert as_auth.execute(seen).fetchall() == [{"id": ids[name]}]
        for presented in ("", hash_key(new_key()).hex()):
            as_auth.execute(PRESENT, (presented,))
            assert as_auth.execute(seen).fetchall() == []
        as_auth.execute("SELECT set_config('app.tenant_id', 'tenant-good', true)")
        assert as_auth.execute(seen).fetchall() == []

    def test_role_changes_only_the_row_of_the_presented_hash(self, as_auth: psycopg.Connection[Row]) -> None:
        use = "UPDATE api_keys SET last_used_at = now()"
        assert as_auth.execute(use).rowcount == 0
        as_auth.execute(PRESENT, (KEYS["good"].hex(),))
        assert as_auth.execute(use).rowcount == 1

    def test_hash_is_presented_for_one_transaction_only(self, auth: Database) -> None:
        assert find_api_key(auth, KEYS["good"])
        pipeline = auth._connected()
        assert pipeline.run([("SELECT id FROM api_keys", ())]) == [[]]

    def test_the_policy_alone_keeps_other_keys_from_the_lookup(self, as_auth: psycopg.Connection[Row]) -> None:
        as_auth.execute(PRESENT, (KEYS["good"].hex(),))
        found = as_auth.execute("SELECT id FROM api_keys WHERE key_hash = %s", (KEYS["other"],))
        assert found.fetchall() == []

    def test_role_has_only_the_privileges_of_the_lookup(self, owner: psycopg.Connection[Row]) -> None:
        """The test checks every column and every relation of the database, and every other role."""
        relations = """SELECT c.oid, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
        found = set()
        for oid, name in [
            tuple(row.values()) for row in owner.execute(relations + " AND c.relkind IN ('r', 'v', 'm')")
        ]:
            held = "SELECT v AS verb FROM unnest(%s::text[]) v WHERE has_table_privilege(%s, %s::oid, v)"
            found |= {(name, "*", row["verb"]) for row in owner.execute(held, (OF_TABLES, Role.AUTH, oid))}
            held = """SELECT attname AS column, v AS verb FROM pg_attribute, unnest(%s::text[]) v
                WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
                    AND has_column_privilege(%s, %s::oid, attnum, v)"""
            of_columns = owner.execute(held, (OF_COLUMNS, oid, Role.AUTH, oid))
            found |= {(name, row["column"], row["verb"]) for row in of_columns}
        assert found == {("api_keys", column, verb) for verb, columns in COLUMNS.items() for column in columns}
        for row in owner.execute(relations + " AND c.relkind = 'S'").fetchall():
            held = "SELECT has_sequence_privilege(%s, %s::oid, 'USAGE, SELECT, UPDATE') AS held"
            assert owner.execute(held, (Role.AUTH, row["oid"])).fetchall() == [{"held": False}]
        memberships = "SELECT FROM pg_auth_members WHERE member = %s::regrole"
        assert owner.execute(memberships, (Role.AUTH,)).fetchall() == []


@pytest.mark.usefixtures("ids")
class TestWrites:
    def test_the_first_use_of_a_minute_is_written_and_no_other(
        self, owner: psycopg.Connection[Row], auth: Database
    ) -> None:
        early_in_a_minute(owner)
        assert find_api_key(auth, KEYS["good"])
        first = version(owner)
        assert first[1] is not None
        before = owner.execute("SELECT pg_current_xact_id()::text AS id").fetchall()
        for _ in range(5):
            assert find_api_key(auth, KEYS["good"])
        assert version(owner) == first
        after = owner.execute("SELECT pg_current_xact_id()::text AS id").fetchall()
        # Each query takes a transaction id itself.
        assert int(after[0]["id"]) == int(before[0]["id"]) + 1

    @pytest.mark.parametrize(
        ("last_used_at", "written"),
        [
            ("date_trunc('minute', now())", False),
            ("date_trunc('minute', now()) - interval '1 microsecond'", True),
            ("NULL", True),
            ("now() - interval '1 year'", True),
        ],
    )
    def test_a_use_of_a_later_minute_is_written(
        self, owner: psycopg.Connection[Row], auth: Database, last_used_at: str, written: bool
    ) -> None:
        early_in_a_minute(owner)
        change(owner, f"last_used_at = {last_used_at}")
        before = version(owner)
        assert find_api_key(auth, KEYS["good"])
        assert (version(owner) != before) is written
        recent = (
            "SELECT now() - last_used_at < interval '1 minute' AS recent FROM api_keys WHERE tenant_id = 'tenant-good'"
        )
        assert owner.execute(recent).fetchall() == [{"recent": True}]

    def test_one_of_two_lookups_at_once_writes(
        self, owner: psycopg.Connection[Row], auth: Database, database_urls: DatabaseUrls
    ) -> None:
        early_in_a_minute(owner)
        with psycopg.connect(database_urls.owner) as faster, ThreadPoolExecutor() as pool:
            faster.execute("UPDATE api_keys SET last_used_at = clock_timestamp() WHERE tenant_id = 'tenant-good'")
            (writer,) = faster.execute("SELECT pg_current_xact_id()::text").fetchall()
            slower = pool.submit(find_api_key, auth, KEYS["good"])
            blocked = """SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""
            wait_for(lambda: owner.execute(blocked).fetchall())
            faster.commit()
            assert slower.result(DEADLINE_S)
        assert version(owner)[:1] == writer


@pytest.mark.usefixtures("ids")
class TestCost:
    def test_a_lookup_is_one_round_trip(self, database_urls: DatabaseUrls) -> None:
        with Wiretap(database_urls.of(Role.AUTH), ignoring="app.key_hash") as tap:
            db = Database(tap.url)
            find_api_key(db, KEYS["other"])
            for key_hash in (KEYS["good"], KEYS["good"], hash_key(new_key())):
                tap.reset()
                find_api_key(db, key_hash)
                assert (tap.round_trips, tap.statements) == (1, 1)
            db.close()

    def test_a_lookup_reads_one_index_once(self, owner: psycopg.Connection[Row], database_urls: DatabaseUrls) -> None:
        """Within a minute of the last use, the lookup writes nothing."""
        early_in_a_minute(owner)
        change(owner, "last_used_at = now()")
        presented, key = FIND_API_KEY.sent({"b_key_hash": KEYS["good"]})
        with psycopg.connect(database_urls.of(Role.AUTH), cursor_factory=psycopg.RawCursor) as connection:
            connection.execute(presented[0].encode(), presented[1])
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {key[0]}"
            ((((plan,),)),) = connection.execute(explain.encode(), key[1]).fetchall()
        scans = [node for node in nodes(plan["Plan"]) if "Scan" in node["Node Type"] and "Relation Name" in node]
        read = [node for node in scans if node["Shared Hit Blocks"] + node["Shared Read Blocks"]]
        assert [node["Index Name"] for node in read] == ["api_keys_key_hash_key"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan, and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
