"""Deletion and retention: no samples of what was said, and operations delete what nobody has touched for long."""

from alembic import op

revision = "0003"
down_revision = "0002"

# What users and models say. ANALYZE would keep samples of it for the planner, which nothing asks about these columns,
# and they would outlive a session that is deleted.
SAID = {
    "sessions": ("title",),
    "turns": ("message", "plan", "response"),
    "llm_calls": ("output",),
    "replies": ("text",),
    "summaries": ("text", "key_facts", "decisions", "open_questions", "action_items", "archived"),
}
# What deleting a session changes, and no other column.
GRANTS = {
    "sessions": "UPDATE (title, deleted_at)",
    "replies": "UPDATE (text)",
    "summaries": "DELETE",
}


def upgrade() -> None:
    for table, columns in SAID.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
            op.execute(f"SELECT pg_clear_attribute_stats(current_schema()::text, '{table}', '{column}', false)")
    # Of what never changes: a session's last touch moves with every turn, and would cost each its in-page update.
    op.execute("CREATE INDEX sessions_living_created_at_idx ON sessions (created_at) WHERE deleted_at IS NULL")
    for table, allowed in GRANTS.items():
        op.execute(f"GRANT {allowed} ON {table} TO pantheon_ops")


def downgrade() -> None:
    for table, allowed in GRANTS.items():
        op.execute(f"REVOKE {allowed} ON {table} FROM pantheon_ops")
    op.execute("DROP INDEX sessions_living_created_at_idx")
    for table, columns in SAID.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS DEFAULT")
