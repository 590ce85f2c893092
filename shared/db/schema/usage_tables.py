"""Tables of the append-only ledger, and its sums by hour and by day. The sums can be made again at any time."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.schema.columns import TOKENS, Time, counts, metadata, now

usage_ledger = Table(
    "usage_ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("turn_id", Uuid, nullable=False),
    Column("call_id", Uuid, ForeignKey("llm_calls.call_id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    # The month of the call's hold, in which budgets are settled.
    Column("period", Date, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("agent_key", Text),
    Column("model_alias", Text, nullable=False),
    *counts(),
    Column("amount_usd", Numeric, nullable=False),
    Column("rates", JSONB, nullable=False),
    now(),
    # Why the row was posted. The release before 0014 leaves this and the next two NULL; `usage_entries` fills them in.
    Column("reason", Text),
    # The user that posted the turn, and its API key if there was one.
    Column("user_id", Text),
    Column("api_key_id", Uuid),
    # The provider's name in the catalog. NULL in rows of a release before 0017, where the call has it.
    Column("provider", Text),
    CheckConstraint("kind IN ('post', 'adjustment')", name="usage_ledger_kind_check"),
    CheckConstraint("account IN ('tenant', 'platform', 'suspense')", name="usage_ledger_account_check"),
    CheckConstraint(
        "reason IN ('reply', 'review', 'helper', 'failed_attempt', 'unknown_outcome')", name="usage_ledger_reason_check"
    ),
    Index("usage_ledger_one_post_per_call", "call_id", unique=True, postgresql_where=text("kind = 'post'")),
    Index(
        "usage_ledger_one_tenant_reply_per_step",
        "turn_id",
        "step",
        unique=True,
        postgresql_where=text(
            "kind = 'post' AND account = 'tenant' AND coalesce(reason, 'reply') IN ('reply', 'review')"
        ),
    ),
    # Finds calls in suspense without their status, which changes. Most entries were settled long ago.
    Index(
        "usage_ledger_suspense_posts_idx",
        "created_at",
        postgresql_where=text("kind = 'post' AND account = 'suspense'"),
    ),
    # A tenant's rows in order. No turn reads the ledger, so the planner may choose an index by tenant here.
    Index("usage_ledger_tenant_id_created_at_id_idx", "tenant_id", "created_at", "id"),
    # Finds rows whose budget month differs from the month of their post. There are few.
    Index(
        "usage_ledger_of_another_month_idx",
        "created_at",
        postgresql_where=text("period <> date_trunc('month', timezone('UTC', created_at))::date"),
    ),
    # All tenants' rows of a period, at almost no cost for posting.
    Index("usage_ledger_created_at_idx", "created_at", postgresql_using="brin"),
)


# The view of the ledger for readers: it fills in reason, user, key and provider of older releases' rows.
usage_entries = Table(
    "usage_entries",
    MetaData(),
    *(
        Column(column.name, column.type, nullable=column.name in ("agent_key", "api_key_id"))
        for column in usage_ledger.c
    ),
)

# The view for the operator, without users, keys and calls, so without the provider of every row.
_OPERATOR = ("tenant_id", "session_id", "agent_key", "model_alias", "purpose", "account", "kind", "reason", *TOKENS)
operator_entries = Table(
    "operator_entries",
    MetaData(),
    *(
        Column(name, usage_ledger.c[name].type, nullable=name == "agent_key")
        for name in ("created_at", *_OPERATOR, "amount_usd")
    ),
)


def _spans(name: str, *dimensions: Column[object]) -> Table:
    """Return a table of sums over a span of time, by the dimensions."""
    return Table(
        name,
        metadata,
        Column("tenant_id", Text, nullable=False),
        Column("start", Time, nullable=False),
        Column("agent_key", Text),
        Column("model_alias", Text, nullable=False),
        Column("purpose", Text, nullable=False),
        Column("account", Text, nullable=False),
        Column("kind", Text, nullable=False),
        *dimensions,
        # Counts posts only, because an adjustment is not a call.
        Column("calls", BigInteger, nullable=False),
        # A sum can exceed the range of a ledger row's count.
        *(Column(sum_, Numeric, nullable=False) for sum_ in TOKENS),
        Column("amount_usd", Numeric, nullable=False),
        UniqueConstraint(
            "tenant_id",
            "start",
            "agent_key",
            "model_alias",
            "purpose",
            "account",
            "kind",
            *(dimension.name for dimension in dimensions),
            name=f"{name}_key",
            postgresql_nulls_not_distinct=True,
        ),
        Index(f"{name}_start_idx", "start", postgresql_using="brin"),
    )


def _reasons_and_users() -> list[Column[object]]:
    return [
        Column("reason", Text, nullable=False),
        Column("user_id", Text, nullable=False),
        Column("api_key_id", Uuid),
    ]


def _rolled_up(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("only_row", Boolean, primary_key=True),
        # The start of an hour. Earlier rows are rolled up by hour, and by day if the day is over. Without this row,
        # nothing is rolled up.
        Column("until", Time, nullable=False),
        CheckConstraint("only_row", name=f"{name}_check"),
    )


def _provider() -> Column[object]:
    return Column("provider", Text, nullable=False)


usage_hours = _spans("usage_hours", *_reasons_and_users(), _provider())
# Days of UTC. Hours are kept, because a period may begin or end within a day.
usage_days = _spans("usage_days", *_reasons_and_users(), _provider())
usage_rolled_up = _rolled_up("usage_rolled_up")

# Only the release before 0017 rolls these up and reads them.
usage_hourly = _spans("usage_hourly", *_reasons_and_users())
usage_daily = _spans("usage_daily", *_reasons_and_users())
usage_progress = _rolled_up("usage_progress")
