"""Settlements: what is released and spent while somebody has the month's row is written beside it, for the next hold.

The release before does not see them: to it, more is held than is, and while both run it refuses too early, rather than
too late."""

from alembic import op

revision = "0010"
down_revision = "0009"

# A custom setting that was set once in a connection reads as '' after its transaction, not as NULL.
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
    # Whoever reads it sees what they may see of the tables.
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
    # What is not counted in yet would be lost.
    op.execute("ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE budget_settlements NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        INSERT INTO budgets (payer, period, held_usd, spent_usd)
        SELECT payer, period, sum(held_usd), sum(spent_usd) FROM budget_settlements GROUP BY payer, period
        ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + excluded.held_usd,
            spent_usd = budgets.spent_usd + excluded.spent_usd""")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute("DROP TABLE budget_settlements")
