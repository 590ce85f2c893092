"""Let the operator list waiting turns and calls in suspense, without any text of a tenant.

The release before does not read this.
"""

from alembic import op

revision = "0021"
down_revision = "0020"

# The operator's additional columns.
SEEN = {
    "turns": "id, tenant_id, session_id, status, created_at, completed_at, lease_expires_at",
    "llm_calls": (
        "call_id, tenant_id, turn_id, step, attempt, model_alias, provider, status, verdict, reserve_usd, finished_at"
    ),
}


def upgrade() -> None:
    for table, columns in SEEN.items():
        op.execute(f"CREATE POLICY operator ON {table} FOR SELECT TO pantheon_operator USING (true)")
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO pantheon_operator")
    op.execute("GRANT SELECT (call_id) ON usage_ledger TO pantheon_operator")


def downgrade() -> None:
    op.execute("REVOKE SELECT (call_id) ON usage_ledger FROM pantheon_operator")
    for table, columns in SEEN.items():
        op.execute(f"REVOKE SELECT ({columns}) ON {table} FROM pantheon_operator")  # noqa: S608
        op.execute(f"DROP POLICY operator ON {table}")
