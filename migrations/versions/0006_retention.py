"""Retention: operations delete what nobody has touched for long, and find it without a scan."""

from alembic import op

revision = "0006"
down_revision = "0003"

# What deleting a session changes, and no other column.
GRANTS = {
    "sessions": "UPDATE (title, deleted_at)",
    "replies": "UPDATE (text)",
    "summaries": "DELETE",
}


def upgrade() -> None:
    # Of what never changes: a session's last touch moves with every turn, and would cost each its in-page update.
    op.execute("CREATE INDEX sessions_living_created_at_idx ON sessions (created_at) WHERE deleted_at IS NULL")
    for table, allowed in GRANTS.items():
        op.execute(f"GRANT {allowed} ON {table} TO pantheon_ops")


def downgrade() -> None:
    for table, allowed in GRANTS.items():
        op.execute(f"REVOKE {allowed} ON {table} FROM pantheon_ops")
    op.execute("DROP INDEX sessions_living_created_at_idx")
