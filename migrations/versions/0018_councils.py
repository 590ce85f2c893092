"""Add councils, and the chair of a session and a turn.

The release before does not use them. It shows later turns every answer of a turn in mode `council`, instead of only the
chair's.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
BODY = "name, mode, agent_keys, fan_out, chair_key, version, deleted_at, created_at"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE councils (
            tenant_id text NOT NULL,
            key text NOT NULL,
            name text NOT NULL,
            mode text NOT NULL,
            agent_keys text[] NOT NULL,
            fan_out text NOT NULL,
            chair_key text,
            version integer NOT NULL,
            deleted_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (tenant_id, key)
        )""")
    # Text of admins: ANALYZE keeps no samples of it.
    op.execute("ALTER TABLE councils ALTER COLUMN name SET STATISTICS 0")
    op.execute("ALTER TABLE councils ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE councils FORCE ROW LEVEL SECURITY")
    owned = f"tenant_id = {TENANT}"
    op.execute(f"CREATE POLICY tenant ON councils TO pantheon_app USING ({owned}) WITH CHECK ({owned})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ({BODY}) ON councils TO pantheon_app")
    op.execute("ALTER TABLE sessions ADD COLUMN chair_key text")
    op.execute("ALTER TABLE turns ADD COLUMN chair_key text")
    op.execute("ALTER TABLE replies ADD COLUMN is_heard boolean NOT NULL DEFAULT true")
    # The invariants read them.
    op.execute("GRANT SELECT (mode) ON turns TO pantheon_ops")
    op.execute("GRANT SELECT (is_heard) ON replies TO pantheon_ops")


def downgrade() -> None:
    op.execute("REVOKE SELECT (mode) ON turns FROM pantheon_ops")
    op.execute("ALTER TABLE replies DROP COLUMN is_heard")
    op.execute("ALTER TABLE turns DROP COLUMN chair_key")
    op.execute("ALTER TABLE sessions DROP COLUMN chair_key")
    op.execute("DROP TABLE councils")
