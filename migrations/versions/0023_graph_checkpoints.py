"""Create the tables of LangGraph's Postgres checkpointer, which keep the state of graphs between the turns of a
session.

A test compares them with `PostgresSaver.setup()` of langgraph-checkpoint-postgres 3.2.0. `setup()` is never called: it
needs the owner's rights, and its indexes cannot be built within a transaction. The release before does not use these
tables.
"""

from alembic import op

revision = "0023"
down_revision = "0022"

# The number of the library's last migration.
VERSION = 9
# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
# A thread is `<tenant>:<session>`. A session's id has 36 characters, and a tenant's id may contain a colon.
OWNED = f"thread_id = {TENANT} || ':' || right(thread_id, 36)"
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
# Texts of users and models: ANALYZE keeps no samples of them.
TEXTS = {"checkpoints": ("checkpoint", "metadata"), "checkpoint_blobs": ("blob",), "checkpoint_writes": ("blob",)}


def upgrade() -> None:
    op.execute("CREATE TABLE checkpoint_migrations (v integer PRIMARY KEY)")
    op.execute("""
        CREATE TABLE checkpoints (
            thread_id text NOT NULL,
            checkpoint_ns text NOT NULL DEFAULT '',
            checkpoint_id text NOT NULL,
            parent_checkpoint_id text,
            type text,
            checkpoint jsonb NOT NULL,
            metadata jsonb NOT NULL DEFAULT '{}',
            PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
        )""")
    op.execute("""
        CREATE TABLE checkpoint_blobs (
            thread_id text NOT NULL,
            checkpoint_ns text NOT NULL DEFAULT '',
            channel text NOT NULL,
            version text NOT NULL,
            type text NOT NULL,
            blob bytea,
            PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
        )""")
    op.execute("""
        CREATE TABLE checkpoint_writes (
            thread_id text NOT NULL,
            checkpoint_ns text NOT NULL DEFAULT '',
            checkpoint_id text NOT NULL,
            task_id text NOT NULL,
            idx integer NOT NULL,
            channel text NOT NULL,
            type text,
            blob bytea NOT NULL,
            task_path text NOT NULL DEFAULT '',
            PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
        )""")
    op.execute(f"INSERT INTO checkpoint_migrations (v) SELECT generate_series(0, {VERSION})")
    for table in TABLES:
        op.execute(f"CREATE INDEX {table}_thread_id_idx ON {table} (thread_id)")
        for column in TEXTS[table]:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO pantheon_app USING ({OWNED}) WITH CHECK ({OWNED})")
        op.execute(f"CREATE POLICY operations ON {table} TO pantheon_ops USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT (thread_id), DELETE ON {table} TO pantheon_ops")
    op.execute("GRANT SELECT, INSERT, DELETE ON checkpoints, checkpoint_blobs TO pantheon_app")
    op.execute("GRANT SELECT, DELETE ON checkpoint_writes TO pantheon_app")
    op.execute("ALTER TABLE checkpoint_migrations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE checkpoint_migrations FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON checkpoint_migrations TO pantheon_app USING ({TENANT} IS NOT NULL)")
    op.execute("GRANT SELECT ON checkpoint_migrations TO pantheon_app")


def downgrade() -> None:
    for table in ("checkpoint_writes", "checkpoint_blobs", "checkpoints", "checkpoint_migrations"):
        op.execute(f"DROP TABLE {table}")
