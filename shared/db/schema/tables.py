"""The schema in SQLAlchemy Core. Statements are built from it, and a test compares it with the migrations.

Two rules hold for indexes. On tables that are read by session, turn or call, no index starts with `tenant_id`.
Row-level security adds that constant to every query, and the planner would scan the whole tenant. No column that
changes while a turn runs is indexed, so that updates stay within the page.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.db.schema import graph_tables
from shared.db.schema.agent_tables import agent_versions, agents, councils
from shared.db.schema.budget_tables import (
    PLATFORM,
    budget_holds,
    budget_limits,
    budget_settlements,
    budgets,
    platform_months,
)
from shared.db.schema.chat_tables import conversations, of_chat_sessions, of_chat_turns
from shared.db.schema.columns import Time, counts, derived, metadata, now, of_a_turn, tokens
from shared.db.schema.invocation_log_tables import invocation_log_hours
from shared.db.schema.key_tables import api_keys
from shared.db.schema.summary_tables import summaries
from shared.db.schema.tenant_tables import tenants, waits
from shared.db.schema.usage_tables import (
    operator_entries,
    usage_daily,
    usage_days,
    usage_entries,
    usage_hourly,
    usage_hours,
    usage_ledger,
    usage_progress,
    usage_rolled_up,
)

# All tables, in one place to import from.
__all__ = [
    "PLATFORM",
    "Time",
    "agent_versions",
    "agents",
    "api_keys",
    "budget_holds",
    "budget_limits",
    "budget_settlements",
    "budgets",
    "conversations",
    "councils",
    "graph_tables",
    "invocation_log_hours",
    "metadata",
    "operator_entries",
    "platform_months",
    "summaries",
    "tenants",
    "usage_daily",
    "usage_days",
    "usage_entries",
    "usage_hourly",
    "usage_hours",
    "usage_ledger",
    "usage_progress",
    "usage_rolled_up",
    "waits",
]

# The revision that this code was written for. A test compares it with the migrations.
MIGRATION_HEAD = "0023"

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("fan_out", Text, nullable=False),
    Column("agent_keys", ARRAY(Text), nullable=False),
    Column("next_turn_index", Integer, nullable=False, server_default=text("1")),
    Column("deleted_at", Time),
    now(),
    Column("updated_at", Time, nullable=False, server_default=func.clock_timestamp()),
    # Its creator and admins see a private session.
    Column("visibility", Text, nullable=False, server_default=text("'tenant'")),
    # The agent that concludes in mode `council`. NULL: the first of `agent_keys`.
    Column("chair_key", Text),
    *of_chat_sessions(),
    derived("has_title", Boolean, "title <> ''::text"),
    CheckConstraint("visibility IN ('private', 'tenant')", name="sessions_visibility_check"),
    CheckConstraint("origin IN ('api', 'chat', 'call')", name="sessions_origin_check"),
    # For the one list by tenant. Turns also refer to a session with its tenant.
    Index("sessions_tenant_id_id_key", "tenant_id", "id", unique=True),
    # Count and list a tenant's living sessions. The release before uses the first. The policies do not compare in this
    # collation.
    *(
        Index(
            f"sessions_{name}_of_tenant_idx",
            "tenant_id",
            postgresql_where=text(f"deleted_at IS NULL{which}"),
            postgresql_ops={"tenant_id": 'COLLATE "C"'},
        )
        for name, which in {"living": "", "counted": " AND origin = 'api'", "listed": " AND origin <> 'call'"}.items()
    ),
    Index("sessions_living_created_at_idx", "created_at", postgresql_where=text("deleted_at IS NULL")),
    Index(
        "sessions_implicit_created_at_idx",
        "created_at",
        postgresql_where=text("deleted_at IS NULL AND origin <> 'api'"),
    ),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("turn_index", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("fingerprint", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("fan_out", Text, nullable=False),
    Column("requested_agent_keys", ARRAY(Text)),
    # [{"key", "version"}] of the enabled agents, in order.
    Column("roster", JSONB, nullable=False),
    Column("plan", JSONB),
    Column("lease_epoch", Integer, nullable=False),
    Column("lease_expires_at", Time),
    Column("dispatch_after", Time),
    Column("expired_claims", Integer, nullable=False, server_default=text("0")),
    Column("outcomes_at_claim", Integer, nullable=False, server_default=text("0")),
    Column("cancel_requested_at", Time),
    Column("deleted_at", Time),
    # The answer of every replay, byte for byte.
    Column("response", Text),
    now(),
    Column("completed_at", Time),
    # The API key that posted the turn. No foreign key, because each turn would lock its key's row.
    Column("api_key_id", Uuid),
    # The agent that concludes in mode `council`. NULL: the first of the roster.
    Column("chair_key", Text),
    *of_chat_turns(),
    derived("has_text", Boolean, "message <> ''::text OR response IS NOT NULL"),
    derived(
        "answered_usd",
        Text,
        "CASE WHEN response IS JSON OBJECT THEN response::jsonb ->> 'cost_usd'::text ELSE NULL::text END",
    ),
    CheckConstraint("status IN ('accepted', 'running', 'completed', 'failed', 'cancelled')", name="turns_status_check"),
    CheckConstraint("(status IN ('accepted', 'running')) = (dispatch_after IS NOT NULL)", name="turns_dispatch_check"),
    CheckConstraint("(status = 'running') = (lease_expires_at IS NOT NULL)", name="turns_lease_check"),
    # With the tenant, because foreign keys ignore row-level security.
    ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"], name="turns_tenant_id_session_id_fkey"
    ),
    UniqueConstraint("session_id", "turn_index", name="turns_session_id_turn_index_key"),
    UniqueConstraint("idempotency_key", "tenant_id", name="turns_idempotency_key_tenant_id_key"),
    # For foreign keys to a turn with its tenant.
    Index("turns_id_tenant_id_key", "id", "tenant_id", unique=True),
    *(
        Index(f"turns_{names[0]}_idx", *names, postgresql_where=text(f"{names[0]} IS NOT NULL"))
        for names in (("past_after",), ("request_hash", "created_at"))
    ),
    # Counts a tenant's turns of the last minute. The policies do not compare in this collation.
    Index("turns_newest_of_tenant_idx", "tenant_id", "created_at", postgresql_ops={"tenant_id": 'COLLATE "C"'}),
    # Only counts a tenant's active turns: another collation, and the column that only a turn's end sets.
    Index(
        "turns_active_of_tenant_idx",
        "tenant_id",
        postgresql_where=text("completed_at IS NULL"),
        postgresql_ops={"tenant_id": 'COLLATE "POSIX"'},
    ),
    Index(
        "turns_one_active_per_request",
        "request_hash",
        unique=True,
        postgresql_where=text("status IN ('accepted', 'running') AND request_hash IS NOT NULL"),
    ),
    Index(
        "turns_one_active_per_session",
        "session_id",
        unique=True,
        postgresql_where=text("status IN ('accepted', 'running')"),
    ),
)

active = turns.c.status.in_(("accepted", "running"))  # turns that have not ended


llm_calls = Table(
    "llm_calls",
    metadata,
    Column("call_id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("turn_id", Uuid, nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("agent_key", Text),
    Column("agent_version", Integer),
    Column("model_alias", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    # The holder of the reserve, and its month. NOT NULL ensures that no intent exists without its hold.
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("reserve_usd", Numeric, nullable=False),
    # USD per million tokens by class, at the time of the call.
    Column("rates", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("verdict", Text),
    *counts(),
    Column("cost_usd", Numeric, nullable=False, server_default=text("0")),
    Column("output", Text),
    Column("stop_reason", Text),
    Column("error_code", Text),
    Column("provider_request_id", Text),
    now(),
    Column("finished_at", Time),
    Column("posted_at", Time),
    Column("retry_at", Time),  # the provider asked for no call before this time
    Column("provider_message", Text),  # the provider's words about an error; deleted with the session's text
    Column("thinking", Text),  # the model's thinking, for the audit only; deleted with the session's text
    derived("has_output", Boolean, "output IS NOT NULL"),
    derived("has_provider_message", Boolean, "provider_message IS NOT NULL"),
    derived("has_thinking", Boolean, "thinking IS NOT NULL"),
    CheckConstraint("status IN ('intent', 'succeeded', 'unbilled', 'unknown')", name="llm_calls_status_check"),
    CheckConstraint("verdict IN ('reply', 'failed')", name="llm_calls_verdict_check"),
    CheckConstraint("reserve_usd >= 0 AND cost_usd >= 0", name="llm_calls_money_check"),
    CheckConstraint("payer IN ('platform', 'tenant:' || tenant_id)", name="llm_calls_payer_check"),
    of_a_turn("llm_calls"),
    UniqueConstraint("turn_id", "step", "attempt", name="llm_calls_turn_id_step_attempt_key"),
)

replies = Table(
    "replies",
    metadata,
    Column("turn_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("agent_key", Text, nullable=False),
    Column("agent_version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("text", Text),
    Column("stop_reason", Text),
    Column("error_code", Text),
    Column("model_alias", Text),
    *tokens(),
    Column("cost_usd", Numeric, nullable=False),
    # Whether later turns see it.
    Column("is_heard", Boolean, nullable=False, server_default=text("true")),
    derived("has_text", Boolean, "text IS NOT NULL"),
    CheckConstraint("status IN ('completed', 'failed', 'skipped')", name="replies_status_check"),
    PrimaryKeyConstraint("turn_id", "position"),
    of_a_turn("replies"),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("turn_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    now(),
    Index("audit_events_turn_id_idx", "turn_id"),
    of_a_turn("audit_events"),
)
