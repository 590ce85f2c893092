"""Move limits and caps to their own table, which the application cannot write freely, and tie turns to their session's
tenant."""

from alembic import op

revision = "0004"
down_revision = "0003"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
OWN = f"payer = 'tenant:' || {TENANT}"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE budget_limits (
            payer text PRIMARY KEY,
            limit_usd numeric,
            cap_usd numeric,
            CONSTRAINT budget_limits_limit_check CHECK (limit_usd >= 0 AND limit_usd < 'Infinity'),
            CONSTRAINT budget_limits_cap_check CHECK (cap_usd >= 0 AND cap_usd < 'Infinity'))""")
    # Forced row-level security hides all rows from the owner.
    op.execute("ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        INSERT INTO budget_limits (payer, limit_usd)
        SELECT DISTINCT ON (payer) payer, limit_usd FROM budgets ORDER BY payer, period DESC""")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_limits ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_limits FORCE ROW LEVEL SECURITY")
    # A tenant sees the platform's limit, which its helpers' holds need, and changes only its own.
    seen = f"{OWN} OR (payer = 'platform' AND {TENANT} IS NOT NULL)"
    op.execute(f"CREATE POLICY tenant ON budget_limits TO pantheon_app USING ({seen}) WITH CHECK ({OWN})")
    op.execute("CREATE POLICY operations ON budget_limits TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT (payer, limit_usd), UPDATE (limit_usd) ON budget_limits TO pantheon_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON budget_limits TO pantheon_ops")
    # No release ever read it.
    op.execute("-- squawk-ignore ban-drop-column\nALTER TABLE budgets DROP COLUMN limit_usd")
    # The same columns as before, now unique as a target of foreign keys.
    op.execute("CREATE UNIQUE INDEX sessions_tenant_id_id_key ON sessions (tenant_id, id)")
    op.execute("-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX sessions_tenant_id_id_idx")
    # No release has turns that violate it.
    op.execute("""
        -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
        ALTER TABLE turns ADD CONSTRAINT turns_tenant_id_session_id_fkey
        FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id)""")
    # The constraint above includes this one.
    op.execute("-- squawk-ignore ban-drop-constraint\nALTER TABLE turns DROP CONSTRAINT turns_session_id_fkey")
    op.execute("CREATE INDEX turns_tenant_id_created_at_idx ON turns (tenant_id, created_at)")


def downgrade() -> None:
    op.execute("DROP INDEX turns_tenant_id_created_at_idx")
    op.execute("ALTER TABLE turns DROP CONSTRAINT turns_tenant_id_session_id_fkey")
    op.execute("""
        ALTER TABLE turns ADD CONSTRAINT turns_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions (id)""")
    op.execute("DROP INDEX sessions_tenant_id_id_key")
    op.execute("CREATE INDEX sessions_tenant_id_id_idx ON sessions (tenant_id, id)")
    op.execute("ALTER TABLE budgets ADD COLUMN limit_usd numeric CONSTRAINT budgets_limit_check CHECK (limit_usd >= 0)")
    op.execute("ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_limits NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        UPDATE budgets SET limit_usd = least(l.limit_usd, l.cap_usd)
        FROM budget_limits l WHERE l.payer = budgets.payer""")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute("DROP TABLE budget_limits")
