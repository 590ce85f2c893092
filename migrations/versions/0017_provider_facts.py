"""Store when a provider may be asked again, its error message, a model's thinking, and each row's provider.

The release before does not use the new columns. It rolls up `usage_hourly` and `usage_daily`; this release uses
`usage_hours` and `usage_days` again. Their old sums are deleted, because they do not distinguish providers, and the
sweeper makes them again from the ledger.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# A provider's error message, and a model's text before its answer.
WORDS = ("provider_message", "thinking")
SPANS = ("usage_hours", "usage_days")
PROGRESS = "usage_rolled_up"
OLD_KEY = "tenant_id, start, agent_key, model_alias, purpose, account, kind"
NEW_KEY = f"{OLD_KEY}, reason, user_id, api_key_id, provider"
OPS = {**dict.fromkeys(SPANS, "SELECT, INSERT, DELETE"), PROGRESS: "SELECT, INSERT, UPDATE (until), DELETE"}
SUMS = (
    f"tenant_id, start, agent_key, model_alias, purpose, account, kind, reason, calls, {', '.join(TOKENS)}, amount_usd"
)
OPERATOR = {**dict.fromkeys(SPANS, f"SELECT ({SUMS})"), PROGRESS: "SELECT (until)"}
# The operator's rights from 0016, which the release before does not use.
OPERATOR_BEFORE = {
    "usage_hourly": f"SELECT ({SUMS})",
    "usage_daily": f"SELECT ({SUMS})",
    "usage_progress": "SELECT (until)",
}
LEDGER = (
    "id, tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose, agent_key,"
    f" model_alias, {', '.join(TOKENS)}, cache_write_1h_tokens, amount_usd, rates, created_at"
)
CALLED = "SELECT c.provider FROM public.llm_calls c WHERE c.call_id = usage_ledger.call_id"


def upgrade() -> None:
    op.execute("ALTER TABLE llm_calls ADD COLUMN retry_at timestamptz")
    for name in WORDS:
        op.execute(f"ALTER TABLE llm_calls ADD COLUMN {name} text")
        # ANALYZE's samples would outlive a deleted session.
        op.execute(f"ALTER TABLE llm_calls ALTER COLUMN {name} SET STATISTICS 0")
        # Adding a virtual column does not rewrite the table.
        present = f"has_{name} boolean GENERATED ALWAYS AS ({name} IS NOT NULL) VIRTUAL"
        op.execute(f"-- squawk-ignore adding-field-with-default\nALTER TABLE llm_calls ADD COLUMN {present}")
    # Operations see whether there are words, but cannot read them.
    op.execute(f"GRANT SELECT (retry_at, {', '.join(f'has_{name}' for name in WORDS)}) ON llm_calls TO pantheon_ops")
    _forget_words()
    op.execute("ALTER TABLE usage_ledger ADD COLUMN provider text")
    op.execute("GRANT INSERT (provider) ON usage_ledger TO pantheon_ops")
    provider = f", coalesce(provider, ({CALLED})) AS provider"
    op.execute(f"CREATE OR REPLACE {_entries(provider)}")
    _empty()
    for table in SPANS:
        op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {table}_key")
        # The table is empty.
        for column in ("reason text NOT NULL", "user_id text NOT NULL", "api_key_id uuid", "provider text NOT NULL"):
            op.execute(f"-- squawk-ignore adding-required-field\nALTER TABLE {table} ADD COLUMN {column}")
        _make_unique(table, NEW_KEY)
    for table, granted in OPS.items():
        op.execute(f"GRANT {granted} ON {table} TO pantheon_ops")
    _move_operator(OPERATOR_BEFORE, OPERATOR)


def _entries(more: str = "") -> str:
    """Return the view of the ledger, which fills in columns that the release before does not write."""
    return f"""VIEW usage_entries WITH (security_invoker = true) AS
        SELECT {LEDGER},
               coalesce(reason, CASE
                   WHEN kind = 'adjustment' OR account = 'suspense' THEN 'unknown_outcome'
                   WHEN purpose <> 'agent' THEN 'helper'
                   WHEN account = 'tenant' THEN 'reply'
                   ELSE 'failed_attempt'
               END) AS reason,
               coalesce(user_id, (SELECT t.user_id FROM turns t WHERE t.id = turn_id)) AS user_id,
               CASE WHEN user_id IS NULL THEN (SELECT t.api_key_id FROM turns t WHERE t.id = turn_id)
                    ELSE api_key_id END AS api_key_id{more}
        FROM usage_ledger"""  # noqa: S608


def _forget_words() -> None:
    """Delete the words with their session's text, in any release: deleting a session, publishing a turn and an outcome
    of a deleted turn all set `output`."""
    op.execute("""
        CREATE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
        BEGIN
            IF OLD.posted_at IS NOT NULL
                OR EXISTS (SELECT FROM public.turns t WHERE t.id = NEW.turn_id AND t.deleted_at IS NOT NULL) THEN
                NEW.provider_message := NULL;
                NEW.thinking := NULL;
            END IF;
            RETURN NEW;
        END $$""")
    op.execute("""
        CREATE TRIGGER llm_calls_forget_words BEFORE UPDATE OF output ON llm_calls FOR EACH ROW
        WHEN (NEW.provider_message IS NOT NULL OR NEW.thinking IS NOT NULL) EXECUTE FUNCTION forget_words()""")


def _empty() -> None:
    """Delete the sums. No release reads them, and no turn waits for them."""
    op.execute(f"TRUNCATE {', '.join((*SPANS, PROGRESS))}")


def _make_unique(table: str, key: str) -> None:
    op.execute(f"""
        -- squawk-ignore constraint-missing-not-valid, disallowed-unique-constraint
        ALTER TABLE {table} ADD CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT ({key})""")


def _move_operator(of: dict[str, str], to: dict[str, str]) -> None:
    for table in of:
        op.execute(f"DROP POLICY operator ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM pantheon_operator")
    for table, granted in to.items():
        op.execute(f"CREATE POLICY operator ON {table} FOR SELECT TO pantheon_operator USING (true)")
        op.execute(f"GRANT {granted} ON {table} TO pantheon_operator")


def downgrade() -> None:
    _move_operator(OPERATOR, OPERATOR_BEFORE)
    _empty()
    for table in OPS:
        op.execute(f"REVOKE ALL ON {table} FROM pantheon_ops")
    for table in SPANS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_key")
        added = ("reason", "user_id", "api_key_id", "provider")
        op.execute(f"ALTER TABLE {table} {', '.join(f'DROP COLUMN {name}' for name in added)}")
        _make_unique(table, OLD_KEY)
    op.execute("DROP VIEW usage_entries")
    op.execute(f"CREATE {_entries()}")
    op.execute("GRANT SELECT ON usage_entries TO pantheon_app, pantheon_ops")
    op.execute("ALTER TABLE usage_ledger DROP COLUMN provider")
    op.execute("DROP TRIGGER llm_calls_forget_words ON llm_calls")
    op.execute("DROP FUNCTION forget_words")
    dropped = (*(f"has_{name}" for name in WORDS), *WORDS, "retry_at")
    op.execute(f"ALTER TABLE llm_calls {', '.join(f'DROP COLUMN {name}' for name in dropped)}")
