"""Hold reserves for accepted turns and unknown outcomes, and store each ledger row's reason, user and key.

The release before does not use the new tables, columns and views. It rolls up `usage_hours` and `usage_days`; this
release rolls up its own tables. Only the release before reads `payer_months` and `budget_settlements`. That view leaves
out the new holds, so the invariants of the release before hold.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
OWN = f"tenant_id = {TENANT}"
REASONS = "'reply', 'review', 'helper', 'failed_attempt', 'unknown_outcome'"
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
POST = "kind = 'post' AND account = 'tenant'"
# Months in which a release before 0012 counted the platform's share of all tenants in one row.
SHARED_MONTHS = "SELECT period FROM budgets WHERE payer = 'platform'"


def _spans(table: str) -> str:
    return f"""
    tenant_id text NOT NULL,
    start timestamptz NOT NULL,
    agent_key text,
    model_alias text NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    user_id text NOT NULL,
    api_key_id uuid,
    calls bigint NOT NULL,
    {", ".join(f"{name} numeric NOT NULL" for name in TOKENS)},
    amount_usd numeric NOT NULL,
    CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT
        (tenant_id, start, agent_key, model_alias, purpose, account, kind, reason, user_id, api_key_id)"""


# In the order of creation; dropped in reverse.
TABLES = {
    "tenants": """
    tenant_id text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()""",
    "waits": """
    tenant_id text NOT NULL,
    slot integer NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, slot)""",
    "budget_holds": """
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    reason text NOT NULL CONSTRAINT budget_holds_reason_check CHECK (reason IN ('accepted', 'suspense')),
    payer text NOT NULL,
    period date NOT NULL,
    held_usd numeric NOT NULL CONSTRAINT budget_holds_money_check CHECK (held_usd >= 0),
    CONSTRAINT budget_holds_payer_check CHECK (payer IN ('tenant:' || tenant_id, 'platform:' || tenant_id))""",
    "usage_hourly": _spans("usage_hourly"),
    "usage_daily": _spans("usage_daily"),
    "usage_progress": """
    only_row boolean NOT NULL PRIMARY KEY CONSTRAINT usage_progress_check CHECK (only_row),
    until timestamptz NOT NULL""",
}
POLICIES = {"usage_progress": f"{TENANT} IS NOT NULL"}
APP_GRANTS = {
    # Accepting a turn locks the row, for which Postgres requires this right.
    "tenants": "SELECT, INSERT (tenant_id), UPDATE (tenant_id)",
    "waits": "SELECT, INSERT, UPDATE (ends_at)",
    "budget_holds": "SELECT, INSERT, DELETE",
    "usage_hourly": "SELECT",
    "usage_daily": "SELECT",
    "usage_progress": "SELECT",
}
OPS_GRANTS = {
    "tenants": "SELECT",
    "waits": "SELECT",
    "budget_holds": "SELECT, DELETE",
    "usage_hourly": "SELECT, INSERT, DELETE",
    "usage_daily": "SELECT, INSERT, DELETE",
    "usage_progress": "SELECT, INSERT, UPDATE, DELETE",
}
# An API key that ended this long ago is removed.
OVER = "least(revoked_at, expires_at) < now() - interval '90 days'"
# A session that was deleted before its first turn. Accepting a turn raises the index.
EMPTY = "deleted_at IS NOT NULL AND next_turn_index = 1"
INDEXES = (
    "CREATE INDEX budget_holds_payer_period_idx ON budget_holds (payer, period)",
    "CREATE INDEX usage_hourly_start_idx ON usage_hourly USING brin (start)",
    "CREATE INDEX usage_daily_start_idx ON usage_daily USING brin (start)",
    # The policies do not compare in these collations. The first index uses another one than
    # `turns_newest_of_tenant_idx`, and no status, so that only the count of active turns uses it, and uses no other.
    'CREATE INDEX turns_active_of_tenant_idx ON turns (tenant_id COLLATE "POSIX") WHERE completed_at IS NULL',
    'CREATE INDEX sessions_living_of_tenant_idx ON sessions (tenant_id COLLATE "C") WHERE deleted_at IS NULL',
    "CREATE INDEX api_keys_ended_at_idx ON api_keys (least(revoked_at, expires_at))",
    # The tenant may pay for several failed attempts of a step, and for one reply only. A row of the release before has
    # no reason, and is a reply.
    f"CREATE UNIQUE INDEX usage_ledger_one_tenant_reply_per_step ON usage_ledger (turn_id, step) "
    f"WHERE {POST} AND coalesce(reason, 'reply') IN ('reply', 'review')",
)
LEDGER = (
    "id, tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose, agent_key,"
    f" model_alias, {', '.join(TOKENS)}, cache_write_1h_tokens, amount_usd, rates, created_at"
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        seen = POLICIES.get(table, OWN)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO pantheon_app USING ({seen}) WITH CHECK ({seen})")
        op.execute(f"CREATE POLICY operations ON {table} TO pantheon_ops USING (true) WITH CHECK (true)")
        op.execute(f"GRANT {APP_GRANTS[table]} ON {table} TO pantheon_app")
        op.execute(f"GRANT {OPS_GRANTS[table]} ON {table} TO pantheon_ops")
    op.execute("ALTER TABLE usage_ledger ADD COLUMN reason text, ADD COLUMN user_id text, ADD COLUMN api_key_id uuid")
    op.execute(f"""
        -- squawk-ignore constraint-missing-not-valid
        ALTER TABLE usage_ledger ADD CONSTRAINT usage_ledger_reason_check CHECK (reason IN ({REASONS}))""")
    for index in INDEXES:
        op.execute(index)
    op.execute("-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX usage_ledger_one_tenant_post_per_step")
    # All existing versions count as pinned, and those that the release before makes, because pinned ones cannot be
    # recognised.
    op.execute("ALTER TABLE agent_versions ADD COLUMN pinned boolean NOT NULL DEFAULT true")
    op.execute("GRANT UPDATE (pinned), DELETE ON agent_versions TO pantheon_app")
    # A deleted session without a turn is removed.
    op.execute("GRANT DELETE ON sessions TO pantheon_app, pantheon_ops")
    op.execute(
        f"CREATE POLICY removal ON sessions AS RESTRICTIVE FOR DELETE TO pantheon_app, pantheon_ops USING ({EMPTY})"
    )
    # Operations see only the API keys that they remove.
    op.execute(f"CREATE POLICY operations ON api_keys TO pantheon_ops USING ({OVER}) WITH CHECK (false)")
    op.execute("GRANT SELECT (id, revoked_at, expires_at), DELETE ON api_keys TO pantheon_ops")
    op.execute(_months(SETTLEMENTS, OTHER_HOLDS))
    _show_entries()
    _count_in()


def _months(*more: str) -> str:
    """Return the view of a payer's month for the release before."""
    tables = ("SELECT payer, period, held_usd, spent_usd FROM budgets", *more)
    return f"""
        CREATE OR REPLACE VIEW payer_months WITH (security_invoker = true) AS
        SELECT payer, period, sum(held_usd) AS held_usd, sum(spent_usd) AS spent_usd
        FROM ({" UNION ALL ".join(tables)}) counted
        GROUP BY payer, period"""  # noqa: S608


SETTLEMENTS = "SELECT payer, period, held_usd, spent_usd FROM budget_settlements"
# In the release before, a month holds only the reserves of open calls.
OTHER_HOLDS = "SELECT payer, period, -held_usd, 0 FROM budget_holds"


def _show_entries() -> None:
    """Create the view of the ledger with reason, user and key of every row, which the release before does not write."""
    op.execute(f"""
        CREATE VIEW usage_entries WITH (security_invoker = true) AS
        SELECT {LEDGER},
               coalesce(reason, CASE
                   WHEN kind = 'adjustment' OR account = 'suspense' THEN 'unknown_outcome'
                   WHEN purpose <> 'agent' THEN 'helper'
                   WHEN account = 'tenant' THEN 'reply'
                   ELSE 'failed_attempt'
               END) AS reason,
               coalesce(user_id, (SELECT t.user_id FROM turns t WHERE t.id = turn_id)) AS user_id,
               CASE WHEN user_id IS NULL THEN (SELECT t.api_key_id FROM turns t WHERE t.id = turn_id)
                    ELSE api_key_id END AS api_key_id
        FROM usage_ledger""")  # noqa: S608
    op.execute("GRANT SELECT ON usage_entries TO pantheon_app, pantheon_ops")


def _count_in() -> None:
    """Make each payer's month exact, because no release writes beside it any more."""
    tables = ("budgets", "budget_settlements", "usage_ledger", "llm_calls")
    # The lock order of holds and settlements. Forced row-level security hides all rows from the owner.
    op.execute("LOCK TABLE budgets, budget_settlements IN SHARE ROW EXCLUSIVE MODE")
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        WITH taken AS (DELETE FROM budget_settlements RETURNING payer, period, held_usd, spent_usd)
        INSERT INTO budgets AS b (payer, period, held_usd, spent_usd)
        SELECT payer, period, sum(held_usd), sum(spent_usd) FROM taken GROUP BY payer, period
        ON CONFLICT (payer, period) DO UPDATE
        SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd""")
    op.execute(f"""
        INSERT INTO budgets (payer, period, held_usd, spent_usd)
        SELECT 'platform:' || tenant_id, period, sum(held), sum(spent) FROM (
            SELECT tenant_id, period, 0 AS held, amount_usd AS spent FROM usage_ledger WHERE account = 'platform'
            UNION ALL
            SELECT tenant_id, period, reserve_usd, 0 FROM llm_calls WHERE payer = 'platform' AND posted_at IS NULL
        ) months
        WHERE period IN ({SHARED_MONTHS}) GROUP BY tenant_id, period
        ON CONFLICT (payer, period) DO UPDATE
        SET held_usd = excluded.held_usd, spent_usd = excluded.spent_usd""")  # noqa: S608
    op.execute("DELETE FROM budgets WHERE payer = 'platform'")
    for table in tables:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    # The release before holds nothing for an accepted turn or an unknown outcome.
    for table in ("budgets", "budget_holds"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        UPDATE budgets b SET held_usd = b.held_usd - h.held_usd
        FROM (SELECT payer, period, sum(held_usd) AS held_usd FROM budget_holds GROUP BY payer, period) h
        WHERE h.payer = b.payer AND h.period = b.period""")
    op.execute("ALTER TABLE budgets FORCE ROW LEVEL SECURITY")
    op.execute(_months(SETTLEMENTS))
    op.execute("DROP VIEW usage_entries")
    op.execute("DROP POLICY operations ON api_keys")
    op.execute("REVOKE SELECT (id, revoked_at, expires_at), DELETE ON api_keys FROM pantheon_ops")
    op.execute("DROP INDEX api_keys_ended_at_idx")
    op.execute("DROP POLICY removal ON sessions")
    op.execute("REVOKE DELETE ON sessions FROM pantheon_app, pantheon_ops")
    op.execute("REVOKE UPDATE (pinned), DELETE ON agent_versions FROM pantheon_app")
    op.execute("ALTER TABLE agent_versions DROP COLUMN pinned")
    op.execute(
        f"CREATE UNIQUE INDEX usage_ledger_one_tenant_post_per_step ON usage_ledger (turn_id, step) WHERE {POST}"
    )
    op.execute("DROP INDEX usage_ledger_one_tenant_reply_per_step")
    op.execute("DROP INDEX sessions_living_of_tenant_idx")
    op.execute("DROP INDEX turns_active_of_tenant_idx")
    op.execute("ALTER TABLE usage_ledger DROP COLUMN reason, DROP COLUMN user_id, DROP COLUMN api_key_id")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
