"""Tests that the migrations and the code's tables make one schema, on the way up, down and up again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import migrations
from local import postgres
from shared.db.schema.tables import MIGRATION_HEAD, metadata
from shared.names import Role
from tests.support.council_room import DEADLINE_S, DatabaseUrls, wait_for

# Everything in the schema `public` that both SQLAlchemy and a migration can make, as text.
STRUCTURE: dict[str, LiteralString] = {
    "columns": """
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
               pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
          AND relname <> 'alembic_version'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid IS DISTINCT FROM to_regclass('alembic_version')""",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
}
# Everything that only a migration makes.
SECURITY: dict[str, LiteralString] = {
    "tables": """
        SELECT relname, relkind::text, relrowsecurity, relforcerowsecurity
        FROM pg_class WHERE relnamespace = 'public'::regnamespace""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies WHERE schemaname = 'public'""",
    "functions": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}
# The rights of roles, one row each, because a downgrade lists them in another order.
GRANTS: dict[str, LiteralString] = {
    "grants": """
        SELECT relname, grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'public'::regnamespace""",
    "columns' grants": """
        SELECT attrelid::regclass::text, attname, grantee::regrole::text, privilege_type
        FROM pg_attribute, aclexplode(attacl)""",
    "database's grants": """
        SELECT grantee::regrole::text, privilege_type
        FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = current_database()""",
    "functions' grants": """
        SELECT oid::regprocedure::text, grantee::regrole::text
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE starts_with(proname, 'lo_')""",
    "settings": """
        SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
}


def dump(url: str, queries: dict[str, LiteralString]) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(url) as connection:
        return {name: sorted(connection.execute(query).fetchall(), key=str) for name, query in queries.items()}


def test_alembic_finds_no_drift(database_urls: DatabaseUrls) -> None:
    config = migrations.config(database_urls.owner)
    config.attributes["tables"] = metadata
    command.check(config)


def test_the_migrations_make_the_very_tables_of_the_code(
    database_urls: DatabaseUrls, empty_database: DatabaseUrls
) -> None:
    """Alembic does not compare checks or the conditions of indexes. The catalogues of two databases show both."""
    engine = create_engine(empty_database.owner.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()
    assert dump(database_urls.owner, STRUCTURE) == dump(empty_database.owner, STRUCTURE)


def test_downgrade_leaves_nothing_and_an_upgrade_restores_the_schema(
    empty_database: DatabaseUrls,
) -> None:
    url = empty_database.owner
    bare = dump(url, STRUCTURE | SECURITY)
    migrations.upgrade(url)
    first = dump(url, STRUCTURE | SECURITY | GRANTS)
    command.downgrade(migrations.config(url), "base")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == []
        grants = connection.execute("SELECT relacl::text FROM pg_class WHERE relname = 'alembic_version'").fetchall()
        assert not any(role in str(grants) for role in Role)
        connection.execute("DROP TABLE alembic_version")
    assert dump(url, STRUCTURE | SECURITY) == bare
    migrations.upgrade(url)
    assert dump(url, STRUCTURE | SECURITY | GRANTS) == first


def test_the_code_names_the_newest_revision() -> None:
    scripts = ScriptDirectory.from_config(migrations.config("postgresql://nowhere"))
    assert scripts.get_heads() == [MIGRATION_HEAD]


def test_the_roles_of_the_cluster_may_be_made_by_another_database_at_this_moment(tmp_path: Path) -> None:
    with (
        postgres.start(tmp_path, settings={"fsync": "off"}) as server,
        ThreadPoolExecutor() as pool,
        psycopg.connect(server.url) as other,
        psycopg.connect(server.url, autocommit=True) as watcher,
    ):
        for role in Role:
            other.execute(f"CREATE ROLE {role} LOGIN".encode())
        upgrade = pool.submit(migrations.upgrade, server.url)
        blocked = "SELECT FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        wait_for(lambda: upgrade.done() or watcher.execute(blocked).fetchall())
        other.commit()
        upgrade.result(DEADLINE_S)
        revision = watcher.execute("SELECT version_num FROM alembic_version").fetchone()
    assert revision == (MIGRATION_HEAD,)


def test_the_roles_can_neither_bypass_the_policies_nor_change_the_schema(database_urls: DatabaseUrls) -> None:
    for role in Role:
        with psycopg.connect(database_urls.of(role)) as connection:
            attributes = "rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication"
            query = f"SELECT {attributes} FROM pg_roles WHERE rolname = current_user"
            assert connection.execute(query.encode()).fetchone() == (False,) * 5
            owned = "SELECT relname FROM pg_class WHERE relowner = current_user::regrole"
            assert connection.execute(owned).fetchall() == []
            assert connection.execute("SELECT has_schema_privilege('public', 'CREATE')").fetchone() == (False,)


def test_migration_can_make_an_index_concurrently(empty_database: DatabaseUrls, tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(
        f'''"""An index on a table that is in use, outside of any transaction."""
from alembic import op
revision, down_revision = "later", "{MIGRATION_HEAD}"
def upgrade():
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY turns_user_id_idx ON turns (user_id)")
'''
    )
    config = migrations.config(empty_database.owner)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{Path(migrations.__file__).parent / 'versions'}\n{tmp_path}")
    command.upgrade(config, "later")
    with psycopg.connect(empty_database.owner) as connection:
        index = connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'turns_user_id_idx'::regclass")
        assert index.fetchall() == [(True,)]


def test_a_step_down_leaves_the_schema_and_the_grants_of_the_release_before(empty_database: DatabaseUrls) -> None:
    url = empty_database.owner
    newest = ScriptDirectory.from_config(migrations.config(url)).get_revision(MIGRATION_HEAD)
    migrations.upgrade(url, str(newest.down_revision))
    before = dump(url, STRUCTURE | SECURITY | GRANTS)
    migrations.upgrade(url)
    command.downgrade(migrations.config(url), "-1")
    assert dump(url, STRUCTURE | SECURITY | GRANTS) == before
