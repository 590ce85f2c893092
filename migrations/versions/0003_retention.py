"""Keep no samples of texts, and let operations delete old sessions."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Texts of users and models. ANALYZE's samples would outlive a deleted session, and the planner does not need them.
SAID = {
    "sessions": ("title",),
    "turns": ("message", "plan", "response"),
    "llm_calls": ("output",),
    "replies": ("text",),
    "summaries": ("text", "key_facts", "decisions", "open_questions", "action_items", "archived"),
}
# The columns that deleting a session changes.
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
    # On a column that never changes. A session's last touch changes with every turn, whose update would leave the page.
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
