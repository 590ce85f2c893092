"""Create the turn protocol: agents, sessions, turns, the journal, the ledger, budgets, roles and policies."""

from alembic import op

revision = "0001"
down_revision = None

TOKENS = """
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cache_read_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0"""
CREATED = "created_at timestamptz NOT NULL DEFAULT clock_timestamp()"

# In the order of creation; dropped in reverse.
TABLES = {
    "agents": f"""
    tenant_id text NOT NULL,
    key text NOT NULL,
    version integer NOT NULL,
    deleted_at timestamptz,
    {CREATED},
    PRIMARY KEY (tenant_id, key)""",
    "agent_versions": f"""
    tenant_id text NOT NULL,
    key text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    role_prompt text NOT NULL,
    model_alias text NOT NULL,
    max_output_tokens integer NOT NULL,
    temperature double precision,
    enabled boolean NOT NULL,
    {CREATED},
    PRIMARY KEY (tenant_id, key, version)""",
    "sessions": f"""
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    title text NOT NULL,
    mode text NOT NULL,
    fan_out text NOT NULL,
    agent_keys text[] NOT NULL,
    next_turn_index integer NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    {CREATED},
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()""",
    "turns": f"""
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    session_id uuid NOT NULL REFERENCES sessions (id),
    user_id text NOT NULL,
    turn_index integer NOT NULL,
    status text NOT NULL,
    idempotency_key text,
    fingerprint text NOT NULL,
    message text NOT NULL,
    mode text NOT NULL,
    fan_out text NOT NULL,
    requested_agent_keys text[],
    roster jsonb NOT NULL,
    plan jsonb,
    lease_epoch integer NOT NULL,
    lease_expires_at timestamptz,
    dispatch_after timestamptz,
    expired_claims integer NOT NULL DEFAULT 0,
    outcomes_at_claim integer NOT NULL DEFAULT 0,
    cancel_requested_at timestamptz,
    deleted_at timestamptz,
    response text,
    {CREATED},
    completed_at timestamptz,
    CONSTRAINT turns_status_check CHECK (status IN ('accepted', 'running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT turns_dispatch_check CHECK ((status IN ('accepted', 'running')) = (dispatch_after IS NOT NULL)),
    CONSTRAINT turns_lease_check CHECK ((status = 'running') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT turns_session_id_turn_index_key UNIQUE (session_id, turn_index),
    CONSTRAINT turns_idempotency_key_tenant_id_key UNIQUE (idempotency_key, tenant_id)""",
    "llm_calls": f"""
    call_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    session_id uuid NOT NULL,
    turn_id uuid NOT NULL REFERENCES turns (id),
    step integer NOT NULL,
    attempt integer NOT NULL,
    purpose text NOT NULL,
    agent_key text,
    agent_version integer,
    model_alias text NOT NULL,
    provider text NOT NULL,
    model_id text NOT NULL,
    request_hash text NOT NULL,
    payer text NOT NULL,
    period date NOT NULL,
    reserve_usd numeric NOT NULL,
    rates jsonb NOT NULL,
    status text NOT NULL,
    verdict text,{TOKENS},
    cost_usd numeric NOT NULL DEFAULT 0,
    output text,
    stop_reason text,
    error_code text,
    provider_request_id text,
    {CREATED},
    finished_at timestamptz,
    posted_at timestamptz,
    CONSTRAINT llm_calls_status_check CHECK (status IN ('intent', 'succeeded', 'unbilled', 'unknown')),
    CONSTRAINT llm_calls_verdict_check CHECK (verdict IN ('reply', 'failed')),
    CONSTRAINT llm_calls_money_check CHECK (reserve_usd >= 0 AND cost_usd >= 0),
    CONSTRAINT llm_calls_turn_id_step_attempt_key UNIQUE (turn_id, step, attempt)""",
    "usage_ledger": f"""
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    session_id uuid NOT NULL,
    turn_id uuid NOT NULL,
    call_id uuid NOT NULL REFERENCES llm_calls (call_id),
    step integer NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL,
    account text NOT NULL,
    period date NOT NULL,
    purpose text NOT NULL,
    agent_key text,
    model_alias text NOT NULL,{TOKENS},
    amount_usd numeric NOT NULL,
    rates jsonb NOT NULL,
    {CREATED},
    CONSTRAINT usage_ledger_kind_check CHECK (kind IN ('post', 'adjustment')),
    CONSTRAINT usage_ledger_account_check CHECK (account IN ('tenant', 'platform', 'suspense'))""",
    "budgets": """
    payer text NOT NULL,
    period date NOT NULL,
    limit_usd numeric,
    held_usd numeric NOT NULL DEFAULT 0,
    spent_usd numeric NOT NULL DEFAULT 0,
    CONSTRAINT budgets_limit_check CHECK (limit_usd >= 0),
    PRIMARY KEY (payer, period)""",
    "replies": f"""
    turn_id uuid NOT NULL REFERENCES turns (id),
    position integer NOT NULL,
    tenant_id text NOT NULL,
    agent_key text NOT NULL,
    agent_version integer NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    text text,
    stop_reason text,
    error_code text,
    model_alias text,{TOKENS},
    cost_usd numeric NOT NULL,
    CONSTRAINT replies_status_check CHECK (status IN ('completed', 'failed', 'skipped')),
    PRIMARY KEY (turn_id, position)""",
    "summaries": f"""
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    session_id uuid NOT NULL REFERENCES sessions (id),
    turn_id uuid NOT NULL REFERENCES turns (id),
    through_turn_index integer NOT NULL,
    text text NOT NULL,
    key_facts jsonb NOT NULL,
    decisions jsonb NOT NULL,
    open_questions jsonb NOT NULL,
    action_items jsonb NOT NULL,
    archived jsonb NOT NULL,
    fallbacks jsonb NOT NULL,
    {CREATED},
    CONSTRAINT summaries_session_id_through_turn_index_key UNIQUE (session_id, through_turn_index)""",
    "audit_events": f"""
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    turn_id uuid NOT NULL REFERENCES turns (id),
    session_id uuid NOT NULL,
    user_id text NOT NULL,
    event text NOT NULL,
    detail jsonb NOT NULL,
    {CREATED}""",
}

INDEXES = (
    "CREATE INDEX sessions_tenant_id_id_idx ON sessions (tenant_id, id)",
    "CREATE UNIQUE INDEX turns_one_active_per_session ON turns (session_id) WHERE status IN ('accepted', 'running')",
    "CREATE UNIQUE INDEX usage_ledger_one_post_per_call ON usage_ledger (call_id) WHERE kind = 'post'",
    "CREATE UNIQUE INDEX usage_ledger_one_tenant_post_per_step ON usage_ledger (turn_id, step) "
    "WHERE kind = 'post' AND account = 'tenant'",
    "CREATE INDEX audit_events_turn_id_idx ON audit_events (turn_id)",
)

# The application's rights. The ledger, the audit trail and an agent's versions are append-only.
APP_GRANTS = {
    "agents": "SELECT, INSERT, UPDATE",
    "agent_versions": "SELECT, INSERT",
    "sessions": "SELECT, INSERT, UPDATE",
    "turns": "SELECT, INSERT, UPDATE",
    "llm_calls": "SELECT, INSERT, UPDATE",
    "usage_ledger": "SELECT, INSERT",
    "budgets": "SELECT, INSERT, UPDATE",
    "replies": "SELECT, INSERT, UPDATE",
    "summaries": "SELECT, INSERT, DELETE",
    "audit_events": "SELECT, INSERT",
}
# Operations read everything, postpone turns, and settle calls of unknown outcome.
OPS_GRANTS = {
    "turns": "SELECT, UPDATE",
    "llm_calls": "SELECT, UPDATE",
    "usage_ledger": "SELECT, INSERT",
    "budgets": "SELECT, INSERT, UPDATE",
}

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"


def upgrade() -> None:
    for role in ("pantheon_app", "pantheon_ops"):
        # Roles belong to the cluster, and another database's upgrade may create them now.
        op.execute(f"""
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                    CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$""")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    for index in INDEXES:
        op.execute(index)
    for table in TABLES:
        _secure(table)
    op.execute("GRANT SELECT ON alembic_version TO pantheon_app, pantheon_ops")


def _secure(table: str) -> None:
    owned = f"tenant_id = {TENANT}"
    if table == "budgets":
        owned = f"payer = 'tenant:' || {TENANT} OR (payer = 'platform' AND {TENANT} IS NOT NULL)"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} TO pantheon_app USING ({owned}) WITH CHECK ({owned})")
    op.execute(f"CREATE POLICY operations ON {table} TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {APP_GRANTS[table]} ON {table} TO pantheon_app")
    op.execute(f"GRANT {OPS_GRANTS.get(table, 'SELECT')} ON {table} TO pantheon_ops")


def downgrade() -> None:
    # The roles stay: they belong to the cluster, where another database may use them.
    op.execute("REVOKE SELECT ON alembic_version FROM pantheon_app, pantheon_ops")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
