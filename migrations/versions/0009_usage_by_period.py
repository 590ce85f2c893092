"""Hours and days by the month of the hold as well, so that a month of the budgets is added up at once, too.

What is rolled up is made again by the sweeper, from the oldest hour of the ledger on; totals are exact meanwhile."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = ("usage_hours", "usage_days")
DIMENSIONS = "tenant_id, start, agent_key, model_alias, purpose, account, kind"


def _key(dimensions: str) -> None:
    for table in TABLES:
        op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {table}_key")
        # They are empty.
        op.execute(f"""
            -- squawk-ignore constraint-missing-not-valid, disallowed-unique-constraint
            ALTER TABLE {table} ADD CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT ({dimensions})""")


def upgrade() -> None:
    op.execute("TRUNCATE usage_hours, usage_days, usage_rolled_up")
    for table in TABLES:
        # No release rolls up yet.
        op.execute(f"-- squawk-ignore adding-required-field\nALTER TABLE {table} ADD COLUMN period date NOT NULL")
    _key(f"{DIMENSIONS}, period")


def downgrade() -> None:
    op.execute("TRUNCATE usage_hours, usage_days, usage_rolled_up")
    _key(DIMENSIONS)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN period")
