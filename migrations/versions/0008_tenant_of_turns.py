"""Tie everything that belongs to a turn to the turn's tenant.

Row-level security hides another tenant's turn from queries, but not from foreign keys and unique indexes.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

# table: its columns, and the referenced columns.
REFERENCES = {
    "llm_calls": ("turn_id, tenant_id", "turns (id, tenant_id)"),
    "replies": ("turn_id, tenant_id", "turns (id, tenant_id)"),
    "summaries": ("turn_id, tenant_id", "turns (id, tenant_id)"),
    "audit_events": ("turn_id, tenant_id", "turns (id, tenant_id)"),
}
SESSION = ("summaries", "tenant_id, session_id", "sessions (tenant_id, id)")
# After its transaction, a custom setting reads as '' instead of NULL.
OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')"
# Not EXISTS, for which the planner may read all of a tenant's calls first.
OWN_CALL = "turn_id = (SELECT c.turn_id FROM llm_calls c WHERE c.call_id = usage_ledger.call_id)"


def _refer(table: str, columns: str, to: str, instead: str) -> None:
    name = f"{table}_{columns.replace(', ', '_')}_fkey"
    # No release has rows that violate it.
    op.execute(f"""
        -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
        ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {to}""")
    # The constraint above includes this one.
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {table}_{instead}_fkey")


def upgrade() -> None:
    op.execute("CREATE UNIQUE INDEX turns_id_tenant_id_key ON turns (id, tenant_id)")
    for table, (columns, to) in REFERENCES.items():
        _refer(table, columns, to, "turn_id")
    _refer(*SESSION, "session_id")
    op.execute("""
        -- squawk-ignore constraint-missing-not-valid
        ALTER TABLE llm_calls ADD CONSTRAINT llm_calls_payer_check
        CHECK (payer IN ('platform', 'tenant:' || tenant_id))""")
    # A post for another tenant's call would prevent that tenant's own post.
    op.execute(f"ALTER POLICY tenant ON usage_ledger TO pantheon_app WITH CHECK ({OWN} AND {OWN_CALL})")


def downgrade() -> None:
    op.execute(f"ALTER POLICY tenant ON usage_ledger TO pantheon_app WITH CHECK ({OWN})")
    op.execute("ALTER TABLE llm_calls DROP CONSTRAINT llm_calls_payer_check")
    op.execute("ALTER TABLE summaries ADD FOREIGN KEY (session_id) REFERENCES sessions (id)")
    op.execute("ALTER TABLE summaries DROP CONSTRAINT summaries_tenant_id_session_id_fkey")
    for table in REFERENCES:
        op.execute(f"ALTER TABLE {table} ADD FOREIGN KEY (turn_id) REFERENCES turns (id)")
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_turn_id_tenant_id_fkey")
    op.execute("DROP INDEX turns_id_tenant_id_key")
