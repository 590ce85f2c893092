"""Write releases and spending as settlements beside a locked month, which the next hold adds.

The release before does not read them. It sees more held than there is, and may refuse too early while both run.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
OWN = f"payer = 'tenant:' || {TENANT} OR (payer = 'platform' AND {TENANT} IS NOT NULL)"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE budget_settlements (
            payer text NOT NULL,
            period date NOT NULL,
            id bigint GENERATED ALWAYS AS IDENTITY,
            held_usd numeric NOT NULL,
            spent_usd numeric NOT NULL,
            PRIMARY KEY (payer, period, id)
        )""")
    op.execute("ALTER TABLE budget_settlements ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_settlements FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON budget_settlements TO pantheon_app USING ({OWN}) WITH CHECK ({OWN})")
    op.execute("CREATE POLICY operations ON budget_settlements TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT, DELETE ON budget_settlements TO pantheon_app, pantheon_ops")
    # Readers see only the rows that the tables' policies show them.
    op.execute("""
        CREATE VIEW budget_months WITH (security_invoker = true) AS
        SELECT payer, period, sum(held_usd) AS held_usd, sum(spent_usd) AS spent_usd
        FROM (
            SELECT payer, period, held_usd, spent_usd FROM budgets
            UNION ALL
            SELECT payer, period, held_usd, spent_usd FROM budget_settlements
        ) counted
        GROUP BY payer, period""")
    op.execute("GRANT SELECT ON budget_months TO pantheon_app, pantheon_ops")


def downgrade() -> None:
    op.execute("DROP VIEW budget_months")
    # Add the remaining settlements, which would be lost.
    op.execute("ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_settlements NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        INSERT INTO budgets (payer, period, held_usd, spent_usd)
        SELECT payer, period, sum(held_usd), sum(spent_usd) FROM budget_settlements GROUP BY payer, period
        ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + excluded.held_usd,
            spent_usd = budgets.spent_usd + excluded.spent_usd""")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute("DROP TABLE budget_settlements")
