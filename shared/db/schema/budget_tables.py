"""The tables of budgets: what a payer holds and spends in a month, and what it may spend.

A payer is `tenant:<tenant id>`, or `platform:<tenant id>` for what the platform bears for that tenant. Its month is one
exact row, which a hold, a publish or an adjustment locks until its commit.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from shared.db.schema.columns import Time, metadata

# The whole platform: the payer of its limit, and in the releases before 0012 of all that it bears.
PLATFORM = "platform"

budgets = Table(
    "budgets",
    metadata,
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("held_usd", Numeric, nullable=False, server_default=text("0")),
    Column("spent_usd", Numeric, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("payer", "period"),
)

# Part of what a month holds, beside the reserves of open calls: the reserve that accepting a turn holds until its first
# agent is asked (`id` is the turn's), and that of a posted call whose outcome is unknown (`id` is the call's).
budget_holds = Table(
    "budget_holds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("held_usd", Numeric, nullable=False),
    CheckConstraint("reason IN ('accepted', 'suspense')", name="budget_holds_reason_check"),
    CheckConstraint("held_usd >= 0", name="budget_holds_money_check"),
    CheckConstraint("payer IN ('tenant:' || tenant_id, 'platform:' || tenant_id)", name="budget_holds_payer_check"),
    Index("budget_holds_payer_period_idx", "payer", "period"),
)

# Only the release before 0014 reads it. It is empty.
budget_settlements = Table(
    "budget_settlements",
    metadata,
    Column("payer", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("held_usd", Numeric, nullable=False),
    Column("spent_usd", Numeric, nullable=False),
    PrimaryKeyConstraint("payer", "period", "id"),
)

# The limit of a payer in any month is the lesser of the two. A tenant's administrator sets its limit; the operator sets
# caps and the platform's limit. Without a cap, PANTHEON_DEFAULT_CAP_USD is a tenant's, and
# PANTHEON_PLATFORM_ALLOWANCE_USD that of the platform's share for a tenant.
budget_limits = Table(
    "budget_limits",
    metadata,
    Column("payer", Text, primary_key=True),
    Column("limit_usd", Numeric),
    Column("cap_usd", Numeric),
    CheckConstraint("limit_usd >= 0 AND limit_usd < 'Infinity'", name="budget_limits_limit_check"),
    CheckConstraint("cap_usd >= 0 AND cap_usd < 'Infinity'", name="budget_limits_cap_check"),
)

# The platform's spending in a month, as the sweeper measured it last. Holds compare it with the platform's limit.
platform_months = Table(
    "platform_months",
    metadata,
    Column("period", Date, primary_key=True),
    Column("spent_usd", Numeric, nullable=False),
    Column("measured_at", Time, nullable=False, server_default=func.clock_timestamp()),
)
