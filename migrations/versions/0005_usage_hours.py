"""Add sums of the ledger by hour and by day, and an index of the ledger by time."""

from alembic import op

revision = "0005"
down_revision = "0004"

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
# The roll-up relies on these limits: after them, nothing can be posted into an hour any more.
LONGEST = {"pantheon_app": "1min", "pantheon_ops": "10min"}


def _spans(table: str) -> str:
    return f"""
    tenant_id text NOT NULL,
    start timestamptz NOT NULL,
    agent_key text,
    model_alias text NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    kind text NOT NULL,
    calls bigint NOT NULL,
    {", ".join(f"{name} numeric NOT NULL" for name in TOKENS)},
    amount_usd numeric NOT NULL,
    CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT
        (tenant_id, start, agent_key, model_alias, purpose, account, kind)"""


TABLES = {
    "usage_hours": _spans("usage_hours"),
    "usage_days": _spans("usage_days"),
    "usage_rolled_up": """
    only_row boolean NOT NULL PRIMARY KEY CONSTRAINT usage_rolled_up_check CHECK (only_row),
    until timestamptz NOT NULL""",
}
INDEXES = (
    "CREATE INDEX usage_ledger_tenant_id_created_at_id_idx ON usage_ledger (tenant_id, created_at, id)",
    "CREATE INDEX usage_ledger_created_at_idx ON usage_ledger USING brin (created_at)",
    "CREATE INDEX usage_hours_start_idx ON usage_hours USING brin (start)",
    "CREATE INDEX usage_days_start_idx ON usage_days USING brin (start)",
)
OWNED = f"tenant_id = {TENANT}"
POLICIES = {"usage_hours": OWNED, "usage_days": OWNED, "usage_rolled_up": f"{TENANT} IS NOT NULL"}
OPS_GRANTS = {
    "usage_hours": "SELECT, INSERT, DELETE",
    "usage_days": "SELECT, INSERT, DELETE",
    "usage_rolled_up": "SELECT, INSERT, UPDATE, DELETE",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    for index in INDEXES:
        op.execute(index)
    for table, seen in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO pantheon_app USING ({seen}) WITH CHECK ({seen})")
        op.execute(f"CREATE POLICY operations ON {table} TO pantheon_ops USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT ON {table} TO pantheon_app")
        op.execute(f"GRANT {OPS_GRANTS[table]} ON {table} TO pantheon_ops")
    for role, longest in LONGEST.items():
        _in_this_database(role, f"SET transaction_timeout = ''{longest}''")


def _in_this_database(role: str, setting: str) -> None:
    """Set the role's setting for this database only, because roles belong to the cluster."""
    op.execute(f"""
        DO $$ BEGIN
            EXECUTE format('ALTER ROLE {role} IN DATABASE %I {setting}', current_database());
        END $$""")


def downgrade() -> None:
    for role in LONGEST:
        _in_this_database(role, "RESET transaction_timeout")
    op.execute("DROP INDEX usage_ledger_created_at_idx")
    op.execute("DROP INDEX usage_ledger_tenant_id_created_at_id_idx")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
