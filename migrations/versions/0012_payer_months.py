"""Prepare one exact row for each payer and month, with the platform's share by tenant.

The release before keeps working. It counts the platform's share in one row for all tenants, and writes settlements
beside locked rows. `payer_months` adds the settlements. `budget_months` also adds the platform's shares, so the release
before reads the sums that it expects.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
PLATFORM = f"payer = 'platform' AND {TENANT} IS NOT NULL"
BEFORE = f"payer = 'tenant:' || {TENANT} OR ({PLATFORM})"
MONTHS = """SELECT payer, period, sum(held_usd) AS held_usd, sum(spent_usd) AS spent_usd
        FROM (
            SELECT payer, period, held_usd, spent_usd FROM budgets
            UNION ALL
            SELECT payer, period, held_usd, spent_usd FROM budget_settlements
        ) counted
        GROUP BY payer, period"""
OWN = f"payer IN ('tenant:' || {TENANT}, 'platform:' || {TENANT})"


def upgrade() -> None:
    # The lock order of holds. Another order could deadlock with a hold of the release before.
    op.execute("LOCK TABLE budget_limits, budget_months, budgets, budget_settlements IN ACCESS EXCLUSIVE MODE")
    op.execute(f"CREATE VIEW payer_months WITH (security_invoker = true) AS {MONTHS}")
    op.execute("GRANT SELECT ON payer_months TO pantheon_app, pantheon_ops")
    # Two branches, so that a search for one payer can use the index.
    op.execute("""
        CREATE OR REPLACE VIEW budget_months WITH (security_invoker = true) AS
        SELECT payer, period, sum(held_usd) AS held_usd, sum(spent_usd) AS spent_usd
        FROM (
            SELECT payer, period, held_usd, spent_usd FROM budgets WHERE NOT starts_with(payer, 'platform:')
            UNION ALL
            SELECT 'platform', period, held_usd, spent_usd FROM budgets WHERE starts_with(payer, 'platform:')
            UNION ALL
            SELECT payer, period, held_usd, spent_usd FROM budget_settlements
        ) counted
        GROUP BY payer, period""")
    op.execute(f"ALTER POLICY tenant ON budgets USING ({OWN} OR ({PLATFORM})) WITH CHECK ({OWN} OR ({PLATFORM}))")
    # A tenant sees the limits of its share and of the platform, and changes only its own.
    op.execute(f"""
        ALTER POLICY tenant ON budget_limits
        USING ({OWN} OR ({PLATFORM})) WITH CHECK (payer = 'tenant:' || {TENANT})""")
    # The platform's spending in a month, which the sweeper measures every minute and holds compare with the limit.
    op.execute("""
        CREATE TABLE platform_months (
            period date PRIMARY KEY,
            spent_usd numeric NOT NULL,
            measured_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )""")
    # Forced row-level security hides all rows from the owner. The limit must hold before the first measurement.
    for table in ("budgets", "budget_settlements"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        INSERT INTO platform_months (period, spent_usd)
        SELECT period, sum(spent_usd) FROM (
            SELECT payer, period, spent_usd FROM budgets
            UNION ALL
            SELECT payer, period, spent_usd FROM budget_settlements
        ) months
        WHERE payer = 'platform' GROUP BY period""")
    for table in ("budgets", "budget_settlements"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE platform_months ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE platform_months FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON platform_months TO pantheon_app USING ({TENANT} IS NOT NULL)")
    op.execute("CREATE POLICY operations ON platform_months TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT ON platform_months TO pantheon_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON platform_months TO pantheon_ops")
    # Ends a transaction from within a SELECT, with an SQLSTATE that the caller knows.
    op.execute("""
        CREATE FUNCTION refuse(code text, reason text) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING ERRCODE = code, MESSAGE = reason;
        END $$""")


def downgrade() -> None:
    op.execute("LOCK TABLE budget_limits, budget_months, platform_months, budgets IN ACCESS EXCLUSIVE MODE")
    op.execute("DROP FUNCTION refuse(text, text)")
    op.execute("DROP TABLE platform_months")
    op.execute("DROP VIEW payer_months")
    op.execute(f"CREATE OR REPLACE VIEW budget_months WITH (security_invoker = true) AS {MONTHS}")
    # The release before counts the platform's share in one row.
    op.execute("ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        INSERT INTO budgets (payer, period, held_usd, spent_usd)
        SELECT 'platform', period, sum(held_usd), sum(spent_usd) FROM budgets WHERE payer LIKE 'platform:%'
        GROUP BY period
        ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + excluded.held_usd,
            spent_usd = budgets.spent_usd + excluded.spent_usd""")
    op.execute("DELETE FROM budgets WHERE payer LIKE 'platform:%'")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER POLICY tenant ON budgets USING ({BEFORE}) WITH CHECK ({BEFORE})")
    op.execute(f"""
        ALTER POLICY tenant ON budget_limits
        USING ({BEFORE}) WITH CHECK (payer = 'tenant:' || {TENANT})""")
