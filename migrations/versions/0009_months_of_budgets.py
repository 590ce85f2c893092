"""The ledger's entries of another month than the one in which they were posted, without a scan.

A month of the budgets is what was posted in it, as it was rolled up, but for these: calls whose hold was taken before
midnight of a month's last day, and what the reconciler found later."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # Of nearly no rows, and so next to nothing for whoever posts.
    op.execute("""
        CREATE INDEX usage_ledger_of_another_month_idx ON usage_ledger (created_at)
        WHERE period <> date_trunc('month', timezone('UTC', created_at))::date""")


def downgrade() -> None:
    op.execute("DROP INDEX usage_ledger_of_another_month_idx")
