"""Count the holds and spending of release 0.1.0 in the exact months of the payers.

A stage may go from 0.1.0 (schema 0010) to this schema in one deployment. 0.1.0 counts the platform's share of all
tenants in the row `platform`, which the policies refuse since 0016. It writes settlements beside locked rows, which no
release reads since 0014. Triggers count both in the rows that this release reads. They add no rights, because the
application may write these rows itself. This release writes neither. A settlement of 0.1.0 now waits for the locked
row.

Its sweeper reads `budget_months` before it sends waiting turns to the queue. Operations read the same money in
`budgets`.
"""

from alembic import op

revision = "0022"
down_revision = "0021"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
BY_APP = "current_user = 'pantheon_app'"
# By trigger: its table, when it fires, and its function.
TRIGGERS = {
    "budgets_count_in_share": (
        "budgets",
        f"BEFORE INSERT ON budgets FOR EACH ROW WHEN (NEW.payer = 'platform' AND {TENANT} IS NOT NULL AND {BY_APP})",
        "count_in_share",
    ),
    "llm_calls_name_platform": (
        "llm_calls",
        "BEFORE INSERT ON llm_calls FOR EACH ROW "
        f"WHEN (NEW.payer = 'platform:' || NEW.tenant_id AND NEW.payer = 'platform:' || {TENANT} AND {BY_APP})",
        "name_platform",
    ),
    "budget_settlements_count_in": (
        "budget_settlements",
        f"AFTER INSERT ON budget_settlements FOR EACH ROW WHEN ({BY_APP})",
        "count_in_settlement",
    ),
}
FUNCTIONS = {
    # While the platform's limit is spent, a hold gets no row. Its caller then refuses the hold, as this release does.
    "count_in_share": f"""
        BEGIN
            IF NEW.held_usd > 0 AND EXISTS (
                SELECT FROM public.budget_limits p LEFT JOIN public.platform_months m ON m.period = NEW.period
                WHERE p.payer = 'platform' AND p.limit_usd <= coalesce(m.spent_usd, 0)
            ) THEN
                RETURN NULL;
            END IF;
            NEW.payer := 'platform:' || {TENANT};
            RETURN NEW;
        END""",
    # The hold of 0.1.0 returns the share's row, and 0.1.0 stores that row's payer in the call.
    "name_platform": """
        BEGIN
            NEW.payer := 'platform';
            RETURN NEW;
        END""",
    "count_in_settlement": """
        BEGIN
            INSERT INTO public.budgets AS b (payer, period, held_usd, spent_usd)
            VALUES (NEW.payer, NEW.period, NEW.held_usd, NEW.spent_usd)
            ON CONFLICT (payer, period) DO UPDATE
            SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd;
            DELETE FROM public.budget_settlements s
            WHERE s.payer = NEW.payer AND s.period = NEW.period AND s.id = NEW.id;
            RETURN NULL;
        END""",
}

READ = "SELECT ON budget_months, budget_settlements"


def upgrade() -> None:
    for name, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $${body} $$")
    for name, (_, when, function) in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")
    op.execute(f"GRANT {READ} TO pantheon_ops")


def downgrade() -> None:
    op.execute(f"REVOKE {READ} FROM pantheon_ops")
    for name, (table, _, _) in TRIGGERS.items():
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
