"""Store which hours of the provider's log were read, and index the ledger's posts into suspense."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE invocation_log_hours (
            hour timestamptz PRIMARY KEY,
            started_at timestamptz NOT NULL,
            last_key text,
            models text[] NOT NULL DEFAULT '{}',
            unreadable bigint NOT NULL DEFAULT 0,
            read_at timestamptz
        )""")
    op.execute("ALTER TABLE invocation_log_hours ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE invocation_log_hours FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY operations ON invocation_log_hours TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON invocation_log_hours TO pantheon_ops")
    # On the ledger, whose rows never change. An index on a call's status would prevent in-page updates of every turn.
    op.execute("""
        CREATE INDEX usage_ledger_suspense_posts_idx ON usage_ledger (created_at)
        WHERE kind = 'post' AND account = 'suspense'""")


def downgrade() -> None:
    op.execute("DROP INDEX usage_ledger_suspense_posts_idx")
    op.execute("DROP TABLE invocation_log_hours")
