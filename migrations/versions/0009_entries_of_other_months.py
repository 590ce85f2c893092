"""Index the ledger's entries whose budget month differs from the month of their post.

A budget's month is the sum of its posts, except for these entries. A call may be held before a month's end and
posted after it, and the reconciler may settle late.
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # The index has almost no rows, so posting costs almost nothing more.
    op.execute("""
        CREATE INDEX usage_ledger_of_another_month_idx ON usage_ledger (created_at)
        WHERE period <> date_trunc('month', timezone('UTC', created_at))::date""")


def downgrade() -> None:
    op.execute("DROP INDEX usage_ledger_of_another_month_idx")
