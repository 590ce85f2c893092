"""Give each role the least privilege: a role of its own for the operator, and single columns for operations.

The release before keeps working. Its operator's function and its sweeper use `pantheon_ops`. Only they need these
rights of that role:

- SELECT on `turns.message`, `turns.response`, `sessions.title`, `replies.text` and `llm_calls.output`, for invariants,
  deletions and settlements;
- SELECT on `llm_calls.agent_version` and `llm_calls.request_hash`, because settlements read whole rows;
- INSERT and UPDATE on `budget_limits`, for caps and the platform's limit.

The health check of the release before needs `pantheon_app`'s right to change the whole tables `llm_calls` and
`usage_ledger`, so a trigger and policies guard them.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

# A role may change this setting itself, so `migrations.roles` sets it again with each release.
LONGEST = "1min"
TOKENS = "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens"
# Operations read these instead of the text. Postgres computes them when they are read.
DERIVED = {
    "sessions": {"has_title": "boolean GENERATED ALWAYS AS (title <> ''::text)"},
    "turns": {
        "has_text": "boolean GENERATED ALWAYS AS (message <> ''::text OR response IS NOT NULL)",
        "answered_usd": "text GENERATED ALWAYS AS "
        "(CASE WHEN response IS JSON OBJECT THEN response::jsonb ->> 'cost_usd'::text ELSE NULL::text END)",
    },
    "llm_calls": {"has_output": "boolean GENERATED ALWAYS AS (output IS NOT NULL)"},
    "replies": {"has_text": "boolean GENERATED ALWAYS AS (text IS NOT NULL)"},
}
OUTCOME = f"status, {TOKENS}, cache_write_1h_tokens, cost_usd, output, stop_reason, error_code, provider_request_id"
ENTRY = (
    "tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose, agent_key, model_alias, "
    f"{TOKENS}, cache_write_1h_tokens, amount_usd, rates, reason, user_id, api_key_id"
)
# The rights of operations for each table, now and before. Other tables do not change.
OPS: dict[str, tuple[str, str]] = {
    "agents": ("", "SELECT"),
    "agent_versions": ("", "SELECT"),
    "audit_events": ("", "SELECT"),
    "budget_holds": ("SELECT (id, reason, payer, period, held_usd), DELETE", "SELECT, DELETE"),
    "budget_limits": (
        "SELECT (payer, limit_usd, cap_usd), INSERT (payer, limit_usd, cap_usd), UPDATE (limit_usd, cap_usd)",
        "SELECT, INSERT, UPDATE",
    ),
    "budget_months": ("", "SELECT"),
    "budget_settlements": ("", "SELECT, INSERT, DELETE"),
    "budgets": (
        "SELECT, INSERT (payer, period, held_usd, spent_usd), UPDATE (held_usd, spent_usd)",
        "SELECT, INSERT, UPDATE",
    ),
    "invocation_log_hours": (
        "SELECT, INSERT (hour, started_at), UPDATE (started_at, last_key, models, unreadable, read_at)",
        "SELECT, INSERT, UPDATE",
    ),
    "llm_calls": (
        "SELECT (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, agent_key, agent_version, "
        "model_alias, provider, model_id, request_hash, payer, period, reserve_usd, rates, verdict, "
        f"{OUTCOME}, created_at, finished_at, posted_at, has_output, xmin), UPDATE ({OUTCOME}, finished_at)",
        "SELECT, UPDATE",
    ),
    "payer_months": ("", "SELECT"),
    "platform_months": ("SELECT, INSERT, UPDATE (spent_usd, measured_at)", "SELECT, INSERT, UPDATE"),
    "replies": (
        "SELECT (turn_id, position, agent_key, cost_usd, text, has_text), UPDATE (text)",
        "SELECT, UPDATE (text)",
    ),
    "sessions": (
        "SELECT (id, tenant_id, title, next_turn_index, deleted_at, created_at, updated_at, has_title, xmin), "
        "UPDATE (title, deleted_at), DELETE",
        "SELECT, UPDATE (title, deleted_at), DELETE",
    ),
    "summaries": ("SELECT (session_id), DELETE", "SELECT, DELETE"),
    "tenants": ("", "SELECT"),
    "turns": (
        "SELECT (id, tenant_id, session_id, user_id, turn_index, status, message, plan, response, lease_expires_at, "
        "dispatch_after, deleted_at, created_at, completed_at, api_key_id, has_text, answered_usd, xmin), "
        "UPDATE (message, plan, response, dispatch_after, deleted_at)",
        "SELECT, UPDATE",
    ),
    "usage_days": ("", "SELECT, INSERT, DELETE"),
    "usage_hours": ("", "SELECT, INSERT, DELETE"),
    "usage_ledger": (f"SELECT, INSERT ({ENTRY})", "SELECT, INSERT"),
    # Deleting the row makes the roll-up again.
    "usage_progress": ("SELECT, INSERT, UPDATE (until), DELETE", "SELECT, INSERT, UPDATE, DELETE"),
    "usage_rolled_up": ("", "SELECT, INSERT, UPDATE, DELETE"),
    "waits": ("", "SELECT"),
}
SPANS = f"tenant_id, start, agent_key, model_alias, purpose, account, kind, reason, calls, {TOKENS}, amount_usd"
ABOUT = "created_at, tenant_id, session_id, agent_key, model_alias, purpose, account, kind"
# The operator sees no user, no key, no turn, and of sessions only the id in the ledger.
OPERATOR = {
    "budget_holds": "SELECT (reason, payer, period, held_usd)",
    "budgets": "SELECT (payer, period, held_usd, spent_usd)",
    "usage_daily": f"SELECT ({SPANS})",
    "usage_hourly": f"SELECT ({SPANS})",
    "usage_ledger": f"SELECT ({ABOUT}, reason, {TOKENS}, amount_usd)",
    "usage_progress": "SELECT (until)",
}
LIMITS = "SELECT (payer, limit_usd, cap_usd), INSERT (payer, limit_usd, cap_usd), UPDATE (limit_usd, cap_usd)"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
SHARE = f"payer IN ('tenant:' || {TENANT}, 'platform:' || {TENANT})"
# No release writes the whole platform's month any more.
SHARED = f"{SHARE} OR (payer = 'platform' AND {TENANT} IS NOT NULL)"
OWN = f"tenant_id = {TENANT}"
OWN_CALL = f"{OWN} AND turn_id = (SELECT c.turn_id FROM public.llm_calls c WHERE c.call_id = usage_ledger.call_id)"  # noqa: S608
# NaN is greater than Infinity. Only an unknown outcome's reserve leaves the ledger. An entry in a rolled-up hour would
# be missing from every sum.
ENTERED = f"""{OWN_CALL} AND created_at BETWEEN now() AND clock_timestamp()
    AND amount_usd > '-Infinity' AND amount_usd < 'Infinity'
    AND (amount_usd >= 0 OR kind = 'adjustment' AND account = 'suspense')"""
CALLED = f"{OWN} AND reserve_usd < 'Infinity' AND cost_usd < 'Infinity'"
HELD = f"{OWN} AND held_usd < 'Infinity'"
# table: the condition for the application's writes, now and before.
WRITES = {
    "usage_ledger": (ENTERED, OWN_CALL),
    "llm_calls": (CALLED, OWN),
    "budget_holds": (HELD, OWN),
}
BY_FUNCTIONS = "current_user IN ('pantheon_app', 'pantheon_ops')"
BY_OPERATIONS = "current_user = 'pantheon_ops'"
WRONG = "NOT NEW.held_usd < 'Infinity' OR NOT NEW.spent_usd < 'Infinity'"
# Operations may, so that one wrong month does not prevent settling the others.
OVERDRAWN = "NEW.held_usd < 0 AND current_user = 'pantheon_app'"
FIXED = (
    "call_id, tenant_id, session_id, turn_id, step, attempt, purpose, agent_key, agent_version, model_alias, provider, "
    "model_id, request_hash, period, reserve_usd, rates, created_at"
)
# The askers and speakers of texts, which no function changes.
ASKED = (
    "id, tenant_id, session_id, user_id, api_key_id, turn_index, idempotency_key, fingerprint, mode, fan_out, "
    "requested_agent_keys, roster, created_at"
)
SPOKEN = (
    "turn_id, position, tenant_id, agent_key, agent_version, name, status, stop_reason, error_code, model_alias, "
    f"{TOKENS}, cost_usd"
)


def _put(column: str) -> str:
    """Whether an update stores another value."""
    return f"(NEW.{column} IS NOT NULL AND NEW.{column} IS DISTINCT FROM OLD.{column})"


# Triggers instead of checks: an upsert may propose a negative row, and only its result counts.
TRIGGERS = {
    "budgets_spent_never_falls": f"""BEFORE UPDATE ON budgets FOR EACH ROW
        WHEN (((NEW.spent_usd < OLD.spent_usd OR {WRONG}) AND {BY_FUNCTIONS}) OR ({OVERDRAWN}))""",
    "budgets_begin_at_zero": f"""AFTER INSERT ON budgets FOR EACH ROW
        WHEN (((NEW.spent_usd < 0 OR {WRONG}) AND {BY_FUNCTIONS}) OR ({OVERDRAWN}))""",
    "llm_calls_keep_what_was_asked": f"""BEFORE UPDATE OF {FIXED} ON llm_calls FOR EACH STATEMENT
        WHEN ({BY_FUNCTIONS})""",
    "turns_keep_who_asked": f"""BEFORE UPDATE OF {ASKED} ON turns FOR EACH STATEMENT
        WHEN ({BY_FUNCTIONS})""",
    "replies_keep_who_spoke": f"""BEFORE UPDATE OF {SPOKEN} ON replies FOR EACH STATEMENT
        WHEN ({BY_FUNCTIONS})""",
    "sessions_keep_their_creator": f"""BEFORE UPDATE OF id, tenant_id, user_id, created_at ON sessions
        FOR EACH STATEMENT WHEN ({BY_FUNCTIONS})""",
    # A message and a reply can be deleted, but not replaced.
    "turns_keep_their_message": f"""BEFORE UPDATE OF message ON turns FOR EACH ROW
        WHEN (NEW.message NOT IN ('', OLD.message) AND {BY_FUNCTIONS})""",
    "replies_keep_their_text": f"""BEFORE UPDATE OF text ON replies FOR EACH ROW
        WHEN ({_put("text")} AND {BY_FUNCTIONS})""",
    # Operations also delete the other texts of every tenant.
    "turns_text_only_goes": f"""BEFORE UPDATE OF response, plan ON turns FOR EACH ROW
        WHEN ({BY_OPERATIONS} AND ({_put("response")}
            OR NEW.plan IS DISTINCT FROM OLD.plan
            AND NEW.plan IS DISTINCT FROM jsonb_set(OLD.plan, '{{unknown_tags}}', '[]')))""",
    "llm_calls_text_only_goes": f"""BEFORE UPDATE OF output ON llm_calls FOR EACH ROW
        WHEN ({BY_OPERATIONS} AND {_put("output")})""",
    "sessions_text_only_goes": f"""BEFORE UPDATE OF title ON sessions FOR EACH ROW
        WHEN ({BY_OPERATIONS} AND NEW.title NOT IN ('', OLD.title))""",
    "api_keys_stay_revoked": f"""BEFORE UPDATE OF revoked_at ON api_keys FOR EACH ROW
        WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL AND {BY_FUNCTIONS})""",
}
MAKE_LARGE_OBJECTS = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)"


def upgrade() -> None:
    for table, columns in DERIVED.items():
        added = ", ".join(f"ADD COLUMN {name} {of} VIRTUAL" for name, of in columns.items())
        # Adding a virtual column does not rewrite the table.
        op.execute(f"-- squawk-ignore adding-field-with-default\nALTER TABLE {table} {added}")
    _make_operator()
    for table, (now, _) in OPS.items():
        _grant_anew(table, "pantheon_ops", now)
    _grant_anew("budgets", "pantheon_app", OPS["budgets"][0])
    op.execute(f"ALTER POLICY tenant ON budgets TO pantheon_app USING ({SHARE}) WITH CHECK ({SHARE})")
    for table, (written, _) in WRITES.items():
        op.execute(f"ALTER POLICY tenant ON {table} TO pantheon_app WITH CHECK ({written})")
    op.execute("""
        CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
        BEGIN
            RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied by trigger ' || TG_NAME;
        END $$""")
    for name, when in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION forbid()")
    # On RDS the owner is no superuser, and Postgres only warns about the functions. So an invariant reports large
    # objects.
    _in_this_database("REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC")
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    op.execute(f"REVOKE EXECUTE ON FUNCTION {MAKE_LARGE_OBJECTS} FROM PUBLIC")


def _make_operator() -> None:
    # Roles belong to the cluster, and another database's upgrade may create this one now.
    op.execute("""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pantheon_operator') THEN
                CREATE ROLE pantheon_operator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$""")
    _in_this_database(f"ALTER ROLE pantheon_operator IN DATABASE %I SET transaction_timeout = ''{LONGEST}''")
    for table, seen in OPERATOR.items():
        op.execute(f"CREATE POLICY operator ON {table} FOR SELECT TO pantheon_operator USING (true)")
        op.execute(f"GRANT {seen} ON {table} TO pantheon_operator")
    payers = "payer = 'platform' OR starts_with(payer, 'platform:') OR starts_with(payer, 'tenant:')"
    op.execute(f"CREATE POLICY operator ON budget_limits TO pantheon_operator USING (true) WITH CHECK ({payers})")
    op.execute(f"GRANT {LIMITS} ON budget_limits TO pantheon_operator")
    # Like `usage_entries`, without users and keys, which releases before 0014 store in the turns.
    op.execute(f"""
        CREATE VIEW operator_entries WITH (security_invoker = true) AS
        SELECT {ABOUT}, coalesce(reason, CASE
                   WHEN kind = 'adjustment' OR account = 'suspense' THEN 'unknown_outcome'
                   WHEN purpose <> 'agent' THEN 'helper'
                   WHEN account = 'tenant' THEN 'reply'
                   ELSE 'failed_attempt'
               END) AS reason, {TOKENS}, amount_usd
        FROM usage_ledger""")  # noqa: S608
    op.execute("GRANT SELECT ON operator_entries TO pantheon_operator")


def _grant_anew(table: str, role: str, grants: str) -> None:
    op.execute(f"REVOKE ALL ON {table} FROM {role}")
    if grants:
        op.execute(f"GRANT {grants} ON {table} TO {role}")


def _in_this_database(command: str) -> None:
    op.execute(f"""
        DO $$ BEGIN
            EXECUTE format('{command}', current_database());
        END $$""")


def downgrade() -> None:
    # The roles stay: they belong to the cluster, where another database may use them.
    op.execute(f"GRANT EXECUTE ON FUNCTION {MAKE_LARGE_OBJECTS} TO PUBLIC")
    _in_this_database("GRANT TEMPORARY ON DATABASE %I TO PUBLIC")
    for name, when in TRIGGERS.items():
        table = when.partition(" ON ")[2].split()[0]
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION forbid")
    for table, (_, written) in WRITES.items():
        op.execute(f"ALTER POLICY tenant ON {table} TO pantheon_app WITH CHECK ({written})")
    op.execute(f"ALTER POLICY tenant ON budgets TO pantheon_app USING ({SHARED}) WITH CHECK ({SHARED})")
    _grant_anew("budgets", "pantheon_app", OPS["budgets"][1])
    for table, (_, before) in OPS.items():
        _grant_anew(table, "pantheon_ops", before)
    op.execute("DROP VIEW operator_entries")
    for table in (*OPERATOR, "budget_limits"):
        op.execute(f"DROP POLICY operator ON {table}")
        _grant_anew(table, "pantheon_operator", "")
    _in_this_database("ALTER ROLE pantheon_operator IN DATABASE %I RESET transaction_timeout")
    for table, columns in DERIVED.items():
        dropped = ", ".join(f"DROP COLUMN {name}" for name in columns)
        op.execute(f"ALTER TABLE {table} {dropped}")
