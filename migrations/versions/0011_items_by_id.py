"""Add ids to the items of summaries, and an archive of the items that left.

All columns are nullable: the release before writes summaries without them, and reads the four lists as before.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

# Text of users and models: ANALYZE keeps no samples of it.
COLUMNS = ("items", "archive")


def upgrade() -> None:
    op.execute("ALTER TABLE summaries ADD COLUMN items jsonb, ADD COLUMN archive jsonb, ADD COLUMN last_numbers jsonb")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE summaries ALTER COLUMN {column} SET STATISTICS 0")


def downgrade() -> None:
    op.execute("ALTER TABLE summaries DROP COLUMN items, DROP COLUMN archive, DROP COLUMN last_numbers")
