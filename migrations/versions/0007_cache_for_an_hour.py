"""Count the tokens that a cache keeps for an hour, because providers price them differently."""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = ("llm_calls", "usage_ledger")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN cache_write_1h_tokens bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN cache_write_1h_tokens")
