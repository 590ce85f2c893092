"""Store the data of chat programs: origins of sessions, imported pasts, and hashes that find a past again.

The release before does not use it. It lists hidden sessions, and shows turns of imported sessions without their past.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
# Text of users: ANALYZE keeps no samples of it.
TEXTS = {"sessions": ("imported", "instructions"), "turns": ("options",)}
SESSION = {
    "origin": "text NOT NULL DEFAULT 'api'",
    "model": "text",
    "imported": "jsonb",
    "instructions": "text",
}
# Operations read these instead of the text that they are derived from.
DERIVED = {
    "sessions": ("has_chat_text", "imported IS NOT NULL OR instructions IS NOT NULL"),
    "turns": ("has_options", "options IS NOT NULL"),
}
# The same request of a user runs once at a time.
ONE = "turns_one_active_per_request"
ACTIVE = "status IN ('accepted', 'running')"
TURN = {"options": "jsonb", "past_before": "bytea", "past_after": "bytea", "request_hash": "bytea"}


def upgrade() -> None:
    for table, columns in (("sessions", SESSION), ("turns", TURN)):
        for name, kind in columns.items():
            op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    for table, names in TEXTS.items():
        for name in names:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} SET STATISTICS 0")
    op.execute("""
        -- squawk-ignore constraint-missing-not-valid
        ALTER TABLE sessions ADD CONSTRAINT sessions_origin_check CHECK (origin IN ('api', 'chat', 'call'))""")
    op.execute("""
        CREATE TABLE conversations (
            tenant_id text NOT NULL,
            user_id text NOT NULL,
            name text NOT NULL,
            session_id uuid NOT NULL,
            PRIMARY KEY (tenant_id, user_id, name)
        )""")
    op.execute("ALTER TABLE conversations ALTER COLUMN name SET STATISTICS 0")
    op.execute("ALTER TABLE conversations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE conversations FORCE ROW LEVEL SECURITY")
    owned = f"tenant_id = {TENANT}"
    op.execute(f"CREATE POLICY tenant ON conversations TO pantheon_app USING ({owned}) WITH CHECK ({owned})")
    op.execute("GRANT SELECT, INSERT, UPDATE (session_id) ON conversations TO pantheon_app")
    for table, (name, expression) in DERIVED.items():
        added = f"ADD COLUMN {name} boolean GENERATED ALWAYS AS ({expression}) VIRTUAL"
        # Adding a virtual column does not rewrite the table.
        op.execute(f"-- squawk-ignore adding-field-with-default\nALTER TABLE {table} {added}")
        op.execute(f"GRANT SELECT ({name}) ON {table} TO pantheon_ops")
    # Deleting an old session deletes these texts.
    op.execute("GRANT UPDATE (imported, instructions) ON sessions TO pantheon_ops")
    op.execute("GRANT UPDATE (options) ON turns TO pantheon_ops")
    op.execute("GRANT SELECT (origin) ON sessions TO pantheon_ops")
    op.execute(f"CREATE UNIQUE INDEX {ONE} ON turns (request_hash) WHERE {ACTIVE} AND request_hash IS NOT NULL")
    # The index is empty at first. The sweeper reads sessions of chat programs and plain calls every minute.
    op.execute(
        "CREATE INDEX sessions_implicit_created_at_idx ON sessions (created_at) "
        "WHERE deleted_at IS NULL AND origin <> 'api'"
    )
    # The same request may come every minute for months. Only its newest turn is read.
    for column, order in (("past_after", "past_after"), ("request_hash", "request_hash, created_at")):
        # The index is empty at first.
        op.execute(f"CREATE INDEX turns_{column}_idx ON turns ({order}) WHERE {column} IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP TABLE conversations")
    for table, columns in (("sessions", SESSION), ("turns", TURN)):
        names = (DERIVED[table][0], *columns)
        op.execute(f"ALTER TABLE {table} {', '.join(f'DROP COLUMN {name}' for name in names)}")
